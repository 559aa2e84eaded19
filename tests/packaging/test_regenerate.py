"""The script of the scheduled workflow, against a changed contract, a local remote and a stand-in for `gh`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.codegen.contracts import write_documents

ROOT = Path(__file__).parents[2]
SCRIPT = ".github/regenerate.py"
GH = """#!{python}
import json, pathlib, sys
log = pathlib.Path({log!r})
arguments = sys.argv[1:]
if "--body-file" in arguments:
    arguments.append(pathlib.Path(arguments[arguments.index("--body-file") + 1]).read_text())
with log.open("a") as file:
    file.write(json.dumps(arguments) + "\\n")
if arguments[:2] == ["pr", "view"]:
    opened = pathlib.Path({opened!r}).exists()
    print("OPEN" if opened else "")
    sys.exit(0 if opened else 1)
if arguments[:2] == ["pr", "create"]:
    pathlib.Path({opened!r}).touch()
"""

IDENTITY = {f"GIT_{who}_{what}": "tester@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
Contract = dict[str, Any]
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is absent")


def add_status(contract: Contract) -> None:
    """What the vendor does every month, and no person needs to think about."""
    contract["components"]["schemas"]["thing"]["properties"]["status"]["enum"].append("dreaming")


def mend_what_we_correct(contract: Contract) -> None:
    """Makes a correction stale."""
    contract["components"]["schemas"]["thing"]["properties"]["size"]["nullable"] = True


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a contract so small that it compiles in no time: all that a regeneration needs, and nothing else."""
    checkout = tmp_path_factory.mktemp("begun") / "checkout"
    ignored = shutil.ignore_patterns("_generated", "testing")
    for name in ("codegen", "timeweb_sdk", ".github"):
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    write_documents(checkout / "openapi")
    (checkout / ".gitignore").write_text("__pycache__\n", encoding="utf-8")
    (checkout / "tests/packaging").mkdir(parents=True)
    for name in ("tests/__init__.py", "tests/packaging/__init__.py"):
        (checkout / name).touch()
    surface = (ROOT / "tests/packaging/surface.py").read_text(encoding="utf-8")
    elsewhere = re.compile(r'    "(?:crm_adapter|timeweb_sdk\.testing)[^"]*",\n')
    (checkout / "tests/packaging/surface.py").write_text(elsewhere.sub("", surface), encoding="utf-8")
    for command in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message Begin"):
        subprocess.run(["git", *command.split()], cwd=checkout, env={**os.environ, **IDENTITY}, check=True)
    return checkout


class Repository:
    """A checkout with a remote of its own, and a `gh` that notes what it is asked."""

    def __init__(self, begun: Path, folder: Path) -> None:
        self.path = folder / "checkout"
        self.remote = folder / "remote.git"
        self.proposal = folder / "proposal"
        self.log = folder / "gh.log"
        shutil.copytree(begun, self.path)
        tools = folder / "bin"
        tools.mkdir()
        gh = tools / "gh"
        gh.write_text(GH.format(python=sys.executable, log=str(self.log), opened=str(folder / "opened")))
        gh.chmod(0o755)
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, **IDENTITY, "PATH": path, "GITHUB_OUTPUT": str(folder / "output")}
        self.environment["PYTHONPATH"] = str(self.path)
        self.git("init", "--quiet", "--initial-branch=main", "--bare", str(self.remote))

    def git(self, *arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.path, env=self.environment, check=True, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, SCRIPT, *arguments]
        return subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False)

    def propose(self, change: Callable[[Contract], None] | None, *options: str) -> str:
        """Propose a changed contract; returns the body of the pull request."""
        contract = json.loads((self.path / "openapi/bundle.json").read_text(encoding="utf-8"))
        if change is not None:
            change(contract)
        source = self.proposal.with_name("vendor.json")
        source.write_text(json.dumps(contract, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        done = self.run("propose", str(self.proposal), "--from", str(source), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return (self.proposal / "body.md").read_text(encoding="utf-8") if change else ""

    def push(self) -> list[list[str]]:
        """Push from a clean tree, as the other job does; returns what `gh` was asked."""
        self.git("reset", "--quiet", "--hard", "main")
        self.git("switch", "--quiet", "main")
        done = self.run("push", str(self.proposal), "--remote", str(self.remote))
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def pushed(self) -> set[str]:
        """Paths that the branch of the remote changes."""
        self.git("fetch", "--quiet", str(self.remote), "regenerate")
        return set(self.git("diff", "--name-only", "main", "FETCH_HEAD").split())


@pytest.fixture
def repository(begun: Path, tmp_path: Path) -> Repository:
    return Repository(begun, tmp_path)


@pytest.fixture
def update(tmp_path: Path) -> Callable[[str], str]:
    """An interpreter that does this instead of the update: what is told of an outcome does not depend on the pipeline."""

    def python(script: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return python


FETCH = 'cp "$7" openapi/bundle.json'
"""As `-m codegen update --changelog FILE --from FILE` begins."""


def test_a_clean_update(repository: Repository) -> None:
    body = repository.propose(add_status, "--check", f"{sys.executable} -c pass")
    assert body.startswith("Everything passed.")
    assert "`Thing`: field `status`: new `dreaming`" in body
    asked = repository.push()
    assert [call[:2] for call in asked] == [["pr", "view"], ["pr", "create"], ["workflow", "run"]]
    assert asked[1][-1] == body
    assert {"openapi/bundle.json", "openapi/SOURCE.md", "tests/packaging/public_surface.txt"} <= repository.pushed()
    assert any(path.startswith("timeweb_sdk/_generated/") for path in repository.pushed())
    # The next day there is a pull request already.
    assert [call[:2] for call in repository.push()[3:]] == [["pr", "view"], ["pr", "edit"], ["workflow", "run"]]


def test_a_stale_correction_is_told_and_the_rest_is_built_and_tested(repository: Repository) -> None:
    body = repository.propose(mend_what_we_correct, "--check", "echo tested")
    assert body.startswith("**This needs a person: update.**")
    assert "Left for a person: 1\n  openapi/overlay.yaml: actions[0] ($.components.schemas.thing.properties.size)" in body
    assert "| echo tested | passed |" in body
    repository.push()
    assert any(path.startswith("timeweb_sdk/_generated/") for path in repository.pushed())


def test_a_build_that_stops_is_told(repository: Repository, update: Callable[[str], str]) -> None:
    python = update(f"{FETCH}; echo codegen: /paths: unknown; exit 1")
    body = repository.propose(add_status, "--python", python, "--check", "echo tested")
    assert body.startswith("**This needs a person: update.**")
    assert "```text\ncodegen: /paths: unknown\n```" in body
    assert "(the new contract does not compile)" in body
    assert "tested" not in body
    repository.push()
    assert repository.pushed() == {"openapi/bundle.json"}


def test_a_failing_test(repository: Repository, update: Callable[[str], str]) -> None:
    check = f"{sys.executable} -c \"import sys; sys.exit('closes #1 @everyone ![x](y) ' + '`' * 5)\""
    body = repository.propose(add_status, "--python", update(f'echo one change > "$5"; {FETCH}'), "--check", check)
    assert body.startswith("**This needs a person:")
    # What others wrote stands in a fence longer than any that it holds.
    assert "``````text\ncloses #1 @everyone" in body
    assert "one change" in body
    repository.push()
    assert repository.pushed() == {"openapi/bundle.json"}


def test_an_unchanged_contract_proposes_nothing(repository: Repository, update: Callable[[str], str]) -> None:
    repository.propose(None, "--python", update(FETCH))
    assert not repository.proposal.exists()
    assert Path(repository.environment["GITHUB_OUTPUT"]).read_text() == "changed=false\n"


def test_an_update_that_fails_before_anything_is_new_fails_the_job(
    repository: Repository, update: Callable[[str], str]
) -> None:
    done = repository.run("propose", str(repository.proposal), "--python", update("echo unreachable; exit 1"))
    assert done.returncode != 0
    assert "unreachable" in done.stdout
    assert "the update failed" in done.stderr


PATCH = """diff --git a/{path} b/{path}
new file mode {mode}
--- /dev/null
+++ b/{path}
@@ -0,0 +1 @@
+x
"""


@pytest.mark.parametrize(
    ("path", "mode", "told"),
    [
        (".github/workflows/ci.yml", "100644", "which a regeneration never does"),
        ("timeweb_sdk/client.py", "100644", "which a regeneration never does"),
        ("openapi/link", "120000", "not a plain file"),
        ("openapi/run", "100755", "not a plain file"),
    ],
)
def test_a_patch_that_reaches_further_is_refused(repository: Repository, path: str, mode: str, told: str) -> None:
    repository.proposal.mkdir()
    (repository.proposal / "update.patch").write_text(PATCH.format(path=path, mode=mode))
    (repository.proposal / "body.md").write_text("x")
    done = repository.run("push", str(repository.proposal), "--remote", str(repository.remote))
    assert done.returncode != 0
    assert told in done.stderr
    assert not repository.log.exists()
