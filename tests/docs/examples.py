"""Run the Python blocks of a Markdown page, top to bottom, in one namespace."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class PythonBlock:
    """Evaluates a block of Python in which, as in the asyncio REPL, `await` may stand at the top level."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def __call__(self, example: Example) -> None:
        # Blank lines in front make line numbers in tracebacks those of the page.
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result: Any = eval(code, example.namespace)
        if inspect.iscoroutine(result):
            self._runner.run(result)


def run_page(page: Path) -> int:
    """Evaluate every block that says `python`; return how many there were."""
    with asyncio.Runner() as runner:
        document = Document.parse(str(page), CodeBlockParser("python", PythonBlock(runner)))
        document.namespace["__name__"] = "__page__"
        count = 0
        for example in document.examples():
            example.evaluate()
            count += 1
    return count


def program(page: Path) -> str:
    """Return the blocks of a page, joined; empty where it has none."""
    return "\n".join(_BLOCK.findall(page.read_text(encoding="utf-8")))


def without_comments(source: str) -> str:
    """Return what a program does, whatever language it is commented in."""
    return ast.dump(compile(source, "page", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
