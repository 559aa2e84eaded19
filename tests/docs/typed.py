"""Check the types of every Python block of README and docs: `python -m tests.docs.typed` runs mypy and basedpyright, strict.

The blocks of a page are one program, as when they run; in a coroutine, since `await` may stand at their top level. What a
reader sees of a value by printing it, or leaves open in a few lines, is no fault here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tests.docs.examples import PAGES, ROOT, program

_SETTINGS = """\
[tool.basedpyright]
typeCheckingMode = "strict"
pythonVersion = "3.11"
reportUnusedExpression = false
reportUnusedFunction = false
reportUnusedImport = false
reportUnusedVariable = false
reportMissingTypeStubs = false
reportUnknownMemberType = false
"""


def module(source: str) -> str:
    """Return the blocks of a page as one module."""
    future = "from __future__ import annotations\n"
    return f"{future}async def page() -> None:\n{textwrap.indent(source.replace(future, ''), '    ')}"


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        for page in PAGES:
            if source := program(page):
                name = page.relative_to(ROOT).with_suffix("").as_posix()
                Path(directory, re.sub(r"\W", "_", name) + ".py").write_text(module(source), encoding="utf-8")
        Path(directory, "pyproject.toml").write_text(_SETTINGS, encoding="utf-8")
        python = ["--python-executable", sys.executable]
        mypy = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            *python,
            "--config-file=",
            "--disable-error-code=import-untyped",
            "--cache-dir",
            f"{directory}/.cache",
            ".",
        ]
        pyright = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "-p", "."]
        return max(subprocess.run(command, cwd=directory, check=False).returncode for command in (mypy, pyright))


if __name__ == "__main__":
    sys.exit(main())
