"""The first minute: a version without an extra, a demonstration with clients, a plan that promises nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from crm_adapter.cli import main

HEAVY = {"sqlalchemy", "alembic", "pydantic", "fastapi", "starlette", "jinja2", "uvicorn", "httpx", "babel"}


@pytest.mark.parametrize(
    ("arguments", "told", "absent"),
    [
        (["--version"], "timeweb-crm 0.", HEAVY | {"typer", "rich"}),
        (["--help"], "Использование: timeweb-crm", HEAVY),
        # Newer typer asks pydantic itself what the options of a command are.
        (["serve", "-h"], "Порт, 0 — любой свободный.", HEAVY - {"pydantic"}),
    ],
)
def test_nothing_is_loaded_that_is_not_needed(arguments: list[str], told: str, absent: set[str]) -> None:
    code = "import sys; from crm_adapter.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert told in done.stdout
    assert absent.isdisjoint(done.stderr.split())


def helped(language: str) -> str:
    """The list of commands as somebody with this language reads it."""
    environment = {**os.environ, "HOSTING_LANG": "", "LC_ALL": "", "LC_MESSAGES": "", "LANG": "C.UTF-8", **json.loads(language)}
    code = "from crm_adapter.cli import main; main(['-h'])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout


@pytest.mark.parametrize(
    ("language", "is_english"),
    [
        ('{"HOSTING_LANG": "en"}', True),
        ('{"LANG": "en_GB.UTF-8"}', True),
        ('{"HOSTING_LANG": "ru", "LANG": "en_GB"}', False),
        ("{}", False),
    ],
)
def test_help_is_in_one_language(language: str, is_english: bool) -> None:
    told = helped(language)
    assert any("а" <= letter <= "я" for letter in told) is not is_english
    assert ("Usage:" in told, "Show this message" in told, "Commands:" in told) == (is_english,) * 3


def test_a_shell_completes_commands_and_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for typed, expected in (("timeweb-crm se", {"servers", "serve", "services"}), ("timeweb-crm servers --da", {"--database"})):
        monkeypatch.setenv("_TIMEWEB_CRM_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
        with pytest.raises(SystemExit):
            main([])
        assert set(capsys.readouterr().out.split()) == expected


def test_the_demonstration_has_clients_late_at_a_loss_and_due(
    environment: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document: dict[str, Any] = {}
    for _ in range(2):
        assert main(["demo", "--database", "demo.sqlite3", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["second_run"]["unchanged_count"] == 23
    rows: list[dict[str, Any]] = [row for row in document["servers"] if row["client_name"] != "Не указан"]
    assert len(rows) == 15
    assert sum(row["profit_amount"] < 0 for row in rows) == 1
    days = [(date.fromisoformat(str(row["next_payment_date"])[:10]) - date.fromisoformat(today())).days for row in rows]
    assert (sum(day < 0 for day in days), sum(0 <= day < 7 for day in days)) == (1, 1)


def today() -> str:
    from crm_adapter.money import local_today

    return local_today().isoformat()


def test_a_plan_promises_nothing_and_taking_away_is_asked(configured: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate"]) == 0
    capsys.readouterr()
    assert main(["plan"]) == 0
    told = capsys.readouterr().out
    assert "План синхронизации: создать 23, обновить 0" in told and "завершена" not in told
    assert main(["migrate", "--downgrade"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert main(["migrate", "--downgrade", "--yes"]) == 0
    assert main(["servers", "-h"]) == 0
