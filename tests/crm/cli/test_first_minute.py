"""The first minute: a version without an extra, a demonstration with clients, a plan that promises nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from crm_adapter.cli import main


def test_the_version_is_told_before_anything_is_loaded() -> None:
    code = (
        "import sys; from crm_adapter.cli import main; main(['--version']);"
        "print([name for name in ('sqlalchemy', 'typer', 'fastapi', 'pydantic') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0].startswith("timeweb-crm 0.")
    assert told[1] == "[]"


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
