"""Commands and messages that the pages quote exist as quoted."""

from __future__ import annotations

import ast
import operator
import re
from datetime import datetime

import pytest

from crm_adapter.cli import main
from crm_adapter.text.messages import failure_text
from tests.docs.examples import PAGES, ROOT
from tests.packaging.surface import MODULES
from timeweb_sdk import Timeweb

TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "CONTRIBUTING.md"]}
EVERYTHING = "\n".join(TEXTS.values())
SESSIONS = set(
    re.findall(r"^def (\w+)\(session: nox\.Session\)", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE)
)
SAID = "\n".join(
    [
        *(path.read_text(encoding="utf-8") for path in (ROOT / "crm_adapter").rglob("*") if path.suffix in {".py", ".html"}),
        failure_text("upstream_unavailable", fresh_until=datetime(2026, 1, 1, 15, 4)),
    ]
)
GUIDES = [f"docs/{name}{language}.md" for name in ("crm-guide", "unattended", "quickstart") for language in ("", ".ru")]
CRM_COMMANDS = sorted(set(re.findall(r"\btimeweb-crm ([a-z][a-z-]*)((?: --[a-z-]+)*)", EVERYTHING)))


def test_nox_sessions_exist() -> None:
    quoted = set(re.findall(r"\bnox -s (\w+)", EVERYTHING))
    assert quoted
    assert quoted <= SESSIONS


@pytest.mark.parametrize(("command", "options"), CRM_COMMANDS)
def test_crm_command_exists(command: str, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in options.split())


@pytest.mark.parametrize("page", GUIDES)
def test_what_stands_in_guillemets_is_in_the_code(page: str) -> None:
    """Messages, buttons and names of sections are quoted exactly; N, a time of day and … stand for what varies."""
    quoted = re.findall(r"«([^«»]+)»", TEXTS[page])
    assert quoted
    fragments = {part.strip() for text in quoted for part in re.split(r"\bN\b|ЧЧ:ММ|15:04|…", text) if part.strip()}
    assert sorted(fragment for fragment in fragments if fragment not in SAID) == []


def test_russian_troubleshooting_knows_every_fault_of_an_account() -> None:
    section = TEXTS["docs/crm-guide.ru.md"].split("## Если что-то не так")[1]
    codes = (
        "unauthorized forbidden cost_unavailable upstream_unavailable bad_response incomplete_listing account_mismatch "
        "duplicate_account already_running not_configured database_rejected"
    )
    untold = {code for code in codes.split() if failure_text(code) not in section}
    assert untold == set()


def test_both_guides_list_the_same_settings() -> None:
    english, russian = (
        re.findall(r"^\| (`[A-Z_]+`) \| (`.*?`)?", TEXTS[f"docs/crm-guide{language}.md"], re.MULTILINE)
        for language in ("", ".ru")
    )
    assert len(english) > 10
    assert english == russian


def test_no_page_counts_the_operations() -> None:
    """Every update of the contract would make it wrong."""
    assert re.findall(r"\b\d+ operations\b", EVERYTHING) == []


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_calls_in_running_text_exist(page: str) -> None:
    """`tw.servers.list()` outside of blocks, which run. Of a table that tells the new from the old, the last column is ours."""
    prose = re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    ours = [line.rstrip("| ").rpartition(" | ")[2] if line.startswith("|") else line for line in prose.splitlines()]
    timeweb = Timeweb("token-of-the-docs")
    for path in re.findall(r"`tw\.([a-z_.0-9]+)\(", "\n".join(ours)):
        assert callable(operator.attrgetter(path)(timeweb)), path


def test_the_promise_names_each_public_module() -> None:
    promised: list[str] = []
    for name in re.findall(r"`([\w.]+)`", TEXTS["CONTRIBUTING.md"].split("## What is public")[1].split("\n- ")[1]):
        package = promised[-1].partition(".")[0] if name.startswith(".") else ""
        promised.append(f"{package}{name}")
    assert sorted(promised) == sorted(MODULES)


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_pages_teach_public_names_only(page: str) -> None:
    """What a page imports is in the promise of CONTRIBUTING, which the committed surface holds."""
    for block in re.findall(r"^```python\n(.*?)^```$", TEXTS[page], re.MULTILINE | re.DOTALL):
        for node in ast.walk(compile(block, page, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("timeweb_sdk", "crm_adapter")):
                names = {f"{node.module}.{name.name}" for name in node.names}
                assert all(name in MODULES or node.module in MODULES for name in names), names
