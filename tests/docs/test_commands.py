"""Commands and messages that the pages quote exist as quoted."""

from __future__ import annotations

import re

import pytest

from crm_adapter.cli import main
from tests.docs.examples import PAGES, ROOT

TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "CONTRIBUTING.md"]}
EVERYTHING = "\n".join(TEXTS.values())
SESSIONS = set(
    re.findall(r"^def (\w+)\(session: nox\.Session\)", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE)
)
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


def test_troubleshooting_quotes_messages_exactly() -> None:
    """Each message of the Russian guide is one that the code can say; N, ЧЧ:ММ and … stand for what varies."""
    section = TEXTS["docs/crm-guide.ru.md"].split("## Если что-то не так")[1]
    messages = re.findall(r"^\| «(.+?)»", section, re.MULTILINE)
    assert len(messages) >= 5
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "crm_adapter").rglob("*") if path.suffix in {".py", ".html", ".po"}
    )
    fragments = [part.strip() for message in messages for part in re.split(r"\bN\b.*|ЧЧ:ММ|…", message) if part.strip()]
    assert [fragment for fragment in fragments if fragment not in sources] == []
