"""What the scheduled workflow does with a new contract: `propose` builds and tests it, `push` opens the pull request.

They run in two jobs. `propose` runs generated code and has no permission to write; `push` may write and runs nothing of what
it was handed: a patch, whose paths it checks, and a body. A build that stops or a test that fails ends in the pull request's
body, never in silence: that is when a person is needed most. Standard library only; `gh` and `git` are commands.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TITLE = "Regenerate from the current contract"
BRANCH = "regenerate"
WRITTEN = ("openapi/", "timeweb_sdk/_generated/", "tests/packaging/", "docs/", "CHANGELOG.md")
"""All that a regeneration may change. Nothing here is run by the job that pushes."""
BODY_LIMIT = 60_000
"""Characters of a pull request's body; GitHub takes 65,536."""
LEFT = 3
"""Exit code of `codegen update`: the code is built, and something is left for a person."""
TAIL = 100
"""Lines of a failed step's output worth reading in the body; the whole stands in the job's log."""


@dataclass(frozen=True)
class Step:
    """A command that was run: its name, its exit code, what it printed."""

    name: str
    code: int
    output: str

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.code == 0


def run(name: str, command: Sequence[str]) -> Step:
    """Run a command, print what it printed, and keep it."""
    print(f"--- {name}: {shlex.join(command)}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode(errors="replace")
    print(output, flush=True)
    return Step(name, done.returncode, output)


def git(*arguments: str) -> str:
    """Run git and return what it printed; raises CalledProcessError."""
    return subprocess.run(["git", *arguments], stdout=subprocess.PIPE, check=True).stdout.decode()


def fenced(text: str) -> str:
    """Text of others as a code block: mentions, images and closing words in it do nothing."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text.strip()}\n{fence}"


def body(changelog: str, steps: Sequence[Step]) -> str:
    """The body of the pull request: what a person must look at first, then what changed."""
    failed = [step for step in steps if not step.ok]
    told = f"**This needs a person: {', '.join(step.name for step in failed)}.**" if failed else "Everything passed."
    rows = [f"| {step.name} | {'passed' if step.ok else '**failed**'} |" for step in steps]
    parts = [told, "\n".join(["| step | result |", "|---|---|", *rows])]
    for step in failed:
        parts += [f"### {step.name}", fenced("\n".join(step.output.splitlines()[-TAIL:]) or "(it printed nothing)")]
    parts += ["### What changed", fenced(changelog or "(the new contract does not compile)")]
    text = "\n\n".join(parts) + "\n"
    if len(text) <= BODY_LIMIT:
        return text
    fence = max(re.findall(r"^(`{3,})text$", text, re.MULTILINE), key=len)
    return f"{text[:BODY_LIMIT]}\n{fence}\n\nCut here; the whole is in the job's log.\n"


def propose(out: Path, source: str | None, python: str, checks: Sequence[str]) -> bool:
    """Take the contract and test it; returns whether there is something to propose, which is then in `out`."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "changelog.md")
        command = [python, "-m", "codegen", "update", "--changelog", str(page), *(["--from", source] if source else [])]
        steps = [run("update", command)]
        changelog = page.read_text(encoding="utf-8") if page.exists() else ""
    if not git("status", "--porcelain", "--", "openapi/bundle.json"):
        if not steps[0].ok:
            raise SystemExit("nothing is new, and the update failed")
        return False
    if steps[0].code in {0, LEFT}:
        steps += [run(check, shlex.split(check)) for check in checks]
    git("add", "--intent-to-add", "--", *(path for path in WRITTEN if Path(path).exists()))
    out.mkdir(parents=True, exist_ok=True)
    # Exactly what may be written: what else the build or the tests have left in the tree is not proposed.
    (out / "update.patch").write_text(git("diff", "--binary", "HEAD", "--", *WRITTEN), encoding="utf-8")
    (out / "body.md").write_text(body(changelog, steps), encoding="utf-8")
    return True


def check_patch(patch: Path) -> None:
    """Refuse a patch that leaves the folders of a regeneration or makes links; raises SystemExit naming the path."""
    for row in git("apply", "--numstat", "-z", str(patch)).split("\0"):
        name = row.split("\t")[-1]
        if name and (not name.startswith(WRITTEN) or ".." in Path(name).parts):
            raise SystemExit(f"the patch changes {name}, which a regeneration never does")
    if re.search(r"^(new file|old|new) mode (?!100644)", patch.read_text(encoding="utf-8"), re.MULTILINE):
        raise SystemExit("the patch holds something that is not a plain file")


def push(handed: Path, remote: str) -> None:
    """Commit the patch on top of what is checked out, push it, open or update the one pull request, start its CI."""
    patch = handed / "update.patch"
    check_patch(patch)
    git("switch", "--force-create", BRANCH)
    git("apply", "--index", str(patch))
    git("commit", "--quiet", "--message", TITLE)
    git("push", "--quiet", "--force", remote, BRANCH)
    text = str(handed / "body.md")
    state = subprocess.run(
        ["gh", "pr", "view", BRANCH, "--json", "state", "--jq", ".state"], stdout=subprocess.PIPE, check=False
    )
    if state.stdout.strip() == b"OPEN":
        subprocess.run(["gh", "pr", "edit", BRANCH, "--body-file", text], check=True)
    else:
        subprocess.run(["gh", "pr", "create", "--head", BRANCH, "--title", TITLE, "--body-file", text], check=True)
    # A pull request of the workflow's own token starts no workflow; a dispatch does.
    subprocess.run(["gh", "workflow", "run", "ci.yml", "--ref", BRANCH], check=True)


def main() -> None:
    """Parse the command line and run one of the two halves."""
    parser = argparse.ArgumentParser(prog="regenerate.py", description=__doc__)
    halves = parser.add_subparsers(dest="half", required=True)
    proposing = halves.add_parser("propose", help="take the contract and test it; write a patch and a body")
    proposing.add_argument("out", type=Path)
    proposing.add_argument("--from", dest="source", help="a bundle in a file instead of the vendor's")
    proposing.add_argument("--python", default=sys.executable, help="an interpreter that has what codegen and tests need")
    proposing.add_argument("--check", action="append", default=[], help="a command that must pass; its failure is told")
    pushing = halves.add_parser("push", help="commit the patch, push it, open or update the pull request")
    pushing.add_argument("handed", type=Path)
    pushing.add_argument("--remote", default="origin")
    arguments = parser.parse_args()
    if arguments.half == "push":
        push(arguments.handed, arguments.remote)
        return
    changed = propose(arguments.out, arguments.source, arguments.python, arguments.check)
    print("there is something to propose" if changed else "the contract has not changed")
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"changed={str(changed).lower()}\n")


if __name__ == "__main__":
    main()
