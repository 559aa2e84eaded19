"""The script of the scheduled workflow, against a changed contract, a local remote and a stand-in for `gh`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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

Contract = dict[str, Any]
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is absent")


def add_status(contract: Contract) -> None:
    """What the vendor does every month, and no person needs to think about."""
    contract["components"]["schemas"]["vds"]["properties"]["status"]["enum"].append("dreaming")


def mend_what_we_correct(contract: Contract) -> None:
    """Makes a correction stale."""
    contract["components"]["parameters"]["network-drive-id"]["name"] = "network_drive_id"


class Repository:
    """A copy of the checkout with a remote of its own, and a `gh` that notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkout"
        self.remote = folder / "remote.git"
        self.proposal = folder / "proposal"
        self.log = folder / "gh.log"
        for name in ("openapi", "codegen", "timeweb_sdk", "crm_adapter", "tests/packaging", ".github"):
            ignored = shutil.ignore_patterns("__pycache__", "vendor")
            shutil.copytree(ROOT / name, self.path / name, ignore=ignored)
        for name in ("CHANGELOG.md", "pyproject.toml", "tests/__init__.py", "CONTRIBUTING.md"):
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, self.path / name)
        tools = folder / "bin"
        tools.mkdir()
        gh = tools / "gh"
        gh.write_text(GH.format(python=sys.executable, log=str(self.log), opened=str(folder / "opened")))
        gh.chmod(0o755)
        identity = {f"GIT_{who}_{what}": "tester@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, **identity, "PATH": path, "GITHUB_OUTPUT": str(folder / "output")}
        self.environment["PYTHONPATH"] = str(self.path)
        self.git("init", "--quiet", "--initial-branch=main", "--bare", str(self.remote))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", "Begin")

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
        source.write_text(json.dumps(contract), encoding="utf-8")
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
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_clean_update(repository: Repository) -> None:
    body = repository.propose(add_status, "--check", f"{sys.executable} -c pass")
    assert body.startswith("Everything passed.")
    assert "dreaming" in body
    asked = repository.push()
    assert [call[:2] for call in asked] == [["pr", "view"], ["pr", "create"], ["workflow", "run"]]
    assert asked[1][-1] == body
    assert {"openapi/bundle.json", "openapi/SOURCE.md"} <= repository.pushed()
    assert any(path.startswith("timeweb_sdk/_generated/") for path in repository.pushed())
    # The next day there is a pull request already.
    assert [call[:2] for call in repository.push()[3:]] == [["pr", "view"], ["pr", "edit"], ["workflow", "run"]]


def test_a_stale_correction(repository: Repository) -> None:
    body = repository.propose(mend_what_we_correct, "--check", f"{sys.executable} -c pass")
    assert body.startswith("**This needs a person: build failed.**")
    assert "network-drive-id" in body
    repository.push()
    assert "openapi/bundle.json" in repository.pushed()
    assert not any(path.startswith("timeweb_sdk/") for path in repository.pushed())


def test_a_failing_test(repository: Repository, tmp_path: Path) -> None:
    # What is told of a failing test does not depend on the pipeline, which the two tests above run.
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$3" = fetch ] && cp "$5" openapi/bundle.json\necho "$@"\n')
    python.chmod(0o755)
    check = f"{sys.executable} -c \"import sys; sys.exit('closes #1 @everyone ![x](y) ' + '`' * 5)\""
    body = repository.propose(add_status, "--python", str(python), "--check", check)
    assert body.startswith("**This needs a person:")
    # What others wrote stands in a fence longer than any that it holds.
    assert "``````text\ncloses #1 @everyone" in body
    repository.push()
    assert repository.pushed() == {"openapi/bundle.json"}


def test_an_unchanged_contract_proposes_nothing(repository: Repository) -> None:
    repository.propose(None)
    assert not repository.proposal.exists()
    assert Path(repository.environment["GITHUB_OUTPUT"]).read_text() == "changed=false\n"


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
