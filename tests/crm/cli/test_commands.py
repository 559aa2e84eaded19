"""The commands against an emulated account: what they print, what they return, what they never show."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from crm_adapter.cli import doctor, main
from tests.crm.cli.conftest import TOKEN
from tests.forked import Forked
from tests.waiting import until
from timeweb_sdk.testing import EmulatorServer

pytestmark = pytest.mark.usefixtures("environment")


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capfd.readouterr()
    return code, out, err


def run_json(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(capfd, *arguments, "--json")
    document = json.loads(out)
    assert isinstance(document, dict)
    return code, document


def test_the_demo_shows_servers_and_both_runs_and_can_be_repeated(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "demo.sqlite3")
    code, out, _ = run(capfd, "demo", "--database", path)
    assert code == 0
    assert "создано 23, обновлено 0, без изменений 0" in out
    assert "создано 0, обновлено 0, без изменений 23" in out
    assert "2 CPU / 2GB RAM / 25GB SSD / Debian 12" in out
    assert "203.0.113." in out
    assert "serve --demo" in out
    assert "TIMEWEB_API_TOKEN" in out
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT COUNT(*), COUNT(DISTINCT timeweb_id) FROM hosting_servers").fetchone() == (23, 23)

    code, document = run_json(capfd, "demo", "--database", path)
    assert code == 0
    assert [document[key]["created_count"] for key in ("first_run", "second_run")] == [0, 0]
    assert [document[key]["unchanged_count"] for key in ("first_run", "second_run")] == [23, 23]
    assert len(document["servers"]) == 23


def test_services_tell_whose_they_are_and_what_they_cost(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "demo.sqlite3")
    run(capfd, "demo", "--database", path)
    where = ("--database", f"sqlite:///{path}")
    code, out, _ = run(capfd, "services", "--search", "SHOP-db", *where)
    assert code == 0 and "База данных" in out and "shop-db" in out and "1 услуга на 270,00" in out
    code, document = run_json(capfd, "services", "--unowned", "--type", "network_drive", *where)
    assert (code, document["total"], document["services"][0]["owner"]) == (0, 1, None)
    assert document["services"][0]["cost_net"] == document["unowned_cost"] == document["cost_month"] == 36


@pytest.mark.parametrize("command", [("demo",), ("serve", "--demo", "--port", "0")])
def test_the_demo_takes_no_address(capfd: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    code, out, err = run(capfd, *command, "--database", "postgresql://crm:secret@db.example.com/crm")
    assert code == 2
    assert "postgresql://…" in err
    assert "путь к файлу SQLite" in err
    assert "secret" not in out + err


def test_the_demo_ignores_the_environment(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMEWEB_API_TOKENS", '{"real": "token-of-a-real-account"}')
    monkeypatch.setenv("TIMEWEB_BASE_URL", "http://127.0.0.1:9")
    code, document = run_json(capfd, "demo", "--database", str(tmp_path / "demo.sqlite3"))
    assert (code, document["first_run"]["created_count"]) == (0, 23)
    assert [item["account"] for item in document["first_run"]["accounts"]] == ["default"]


@pytest.mark.parametrize("command", [("sync",), ("plan",), ("import", "4100001")])
def test_without_a_token_a_command_says_how_to_set_it(capfd: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    code, out, err = run(capfd, *command)
    assert (code, out) == (2, "")
    assert "Timeweb API token не настроен" in err
    assert "TIMEWEB_API_TOKEN" in err
    assert "Traceback" not in err
    code, document = run_json(capfd, *command)
    assert (code, document["success"], document["code"]) == (2, False, "not_configured")


@pytest.mark.usefixtures("configured")
def test_an_unprepared_database_is_told_with_the_remedy(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capfd, "sync")
    assert code == 2
    assert "timeweb-crm migrate" in err


@pytest.mark.usefixtures("configured")
def test_migrate_plan_sync_and_servers(capfd: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capfd, "migrate")
    assert (code, document["created_table"], document["changed"]) == (0, True, True)
    code, document = run_json(capfd, "migrate")
    assert (code, document["changed"]) == (0, False)

    code, document = run_json(capfd, "plan")
    assert (code, document["report"]["created_count"], document["report"]["dry_run"]) == (0, 23, True)
    assert run_json(capfd, "servers")[1]["total"] == 0

    code, document = run_json(capfd, "sync")
    assert (code, document["status"], document["created_count"]) == (0, "success", 23)
    keys = {
        "run_id", "status", "error_code", "created_count", "updated_count", "unchanged_count", "linked_count", "missing_count",
        "restored_count", "skipped_count", "error_count", "total_processed", "api_calls", "created", "updated", "errors",
        "warnings",
    }  # fmt: skip
    assert keys <= document.keys()
    code, document = run_json(capfd, "sync", "--all")
    assert (code, document["created_count"], document["updated_count"], document["unchanged_count"]) == (0, 0, 0, 23)

    code, document = run_json(capfd, "sync", "--if-stale", "300")
    assert (code, document["status"], document["freshness"], document["api_calls"]) == (0, "skipped", "fresh", 0)

    code, document = run_json(capfd, "servers", "--search", "gitlab")
    assert [row["server_name"] for row in document["servers"]] == ["gitlab"]
    assert document["servers"][0]["cost_price"] == pytest.approx(1516.5)
    code, out, _ = run(capfd, "runs")
    assert code == 0
    assert "успешно" in out


@pytest.mark.usefixtures("configured")
def test_import_tells_what_is_there_already_and_what_does_not_exist(capfd: pytest.CaptureFixture[str]) -> None:
    main(["migrate"])
    capfd.readouterr()
    code, document = run_json(capfd, "import", "4100001", "4100008")
    assert (code, document["imported_count"], document["error_count"]) == (0, 2, 0)
    code, document = run_json(capfd, "import", "4100001", "999")
    assert code == 1
    assert {error["code"] for error in document["errors"]} == {"already_imported", "not_found"}
    code, out, _ = run(capfd, "import", "4100001")
    assert code == 1
    assert "Сервер уже импортирован" in out


@pytest.mark.usefixtures("configured")
def test_a_refused_token_is_an_error_without_a_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["migrate"])
    monkeypatch.setenv("TIMEWEB_API_TOKEN", "revoked-token")
    capfd.readouterr()
    code, out, err = run(capfd, "sync")
    assert code == 1
    assert "Токен недействителен или истёк" in out
    assert "Traceback" not in err
    assert "revoked-token" not in out + err
    code, document = run_json(capfd, "sync")
    assert (code, document["status"], document["error_code"], document["api_calls"]) == (1, "failed", "unauthorized", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sync", "--nonsense"), "--nonsense"),
        (("nonsense",), "nonsense"),
        (("import",), "ID"),
        (("sync", "--if-stale", "soon"), "--if-stale"),
        (("migrate", "more"), "Лишнее: (more)"),
        (("sync", "--database", "oracle://example.com"), "oracle"),
    ],
)
def test_wrong_usage_is_exit_code_two(capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    code, document = run_json(capfd, *arguments)
    assert (code, document["success"]) == (2, False)
    assert message in document["error"]


def test_wrong_usage_is_told_in_the_language_of_the_help(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for language, words in (("ru", ["Неверная команда: Лишнее: (more)", "Справка"]), ("en", ["Wrong command: Got un", "Help"])):
        monkeypatch.setenv("HOSTING_LANG", language)
        assert all(word in run(capfd, "migrate", "more")[2] for word in words)


def test_a_database_that_does_not_answer(capfd: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://crm:db-password@127.0.0.1:9/crm"
    code, document = run_json(capfd, "servers", "--database", url)
    assert (code, document["code"]) == (1, "database_unavailable")
    code, out, err = run(capfd, "doctor", "--database", url)
    assert code == 1
    assert "db-password" not in out + err


def test_duplicates_stop_a_migration_and_are_named(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "crm.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, timeweb_id BIGINT)")
        connection.execute("INSERT INTO hosting_servers VALUES (1, 77), (2, 77)")
    code, document = run_json(capfd, "migrate")
    assert (code, document["code"]) == (2, "duplicate_timeweb_id")
    assert "77 — строки 1, 2" in document["error"]


@pytest.mark.usefixtures("configured")
def test_doctor_examines_everything(capfd: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capfd, "doctor")
    states = {check["name"]: check["state"] for check in document["checks"]}
    assert (code, document["success"], states["migrations"]) == (1, False, "bad")
    main(["migrate"])
    main(["sync"])
    capfd.readouterr()
    code, document = run_json(capfd, "doctor")
    states = {check["name"]: check["state"] for check in document["checks"]}
    assert code == 0
    assert states == dict.fromkeys(states, "good") | {"redis": "off", "address": "warn"}
    assert {"token", "rights", "clock", "database", "migrations", "lease", "runs", "redis"} <= states.keys()
    code, out, _ = run(capfd, "doctor")
    assert "в аккаунте 23 сервера" in out


@pytest.mark.parametrize(("skew", "state"), [(30, "good"), (31, "warn"), (-30, "good"), (-31, "warn")])
def test_clocks_may_be_half_a_minute_apart(skew: int, state: str) -> None:
    assert doctor._clock(formatdate(1_800_000_000, usegmt=True), 1_800_000_000.0 + skew).state == state


@pytest.mark.usefixtures("configured")
def test_doctor_warns_of_several_accounts_without_redis(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMEWEB_API_TOKENS", '{"second": "another-token"}')
    _, document = run_json(capfd, "doctor")
    (redis,) = [check for check in document["checks"] if check["name"] == "redis"]
    assert redis["state"] == "warn"
    assert "TIMEWEB_REDIS_URL" in redis["hint"]


@pytest.mark.usefixtures("configured")
def test_doctor_names_a_host_that_is_not_timeweb(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = run(capfd, "doctor")
    assert "токен отправляется на 127.0.0.1, это не Timeweb" in out
    monkeypatch.setenv("TIMEWEB_BASE_URL", "https://api.timeweb.cloud")
    monkeypatch.delenv("TIMEWEB_API_TOKEN")
    _, out, _ = run(capfd, "doctor")
    assert "это не Timeweb" not in out


def test_doctor_shows_no_password_of_the_query(capfd: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://crm:hunter2@127.0.0.1:1/crm?sslpassword=hunter3&connect_timeout=1"
    _, out, err = run(capfd, "doctor", "--database", url)
    assert "crm:***@127.0.0.1:1/crm" in out
    assert "hunter" not in out + err


def test_doctor_names_a_missing_token_and_a_dead_redis(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMEWEB_REDIS_URL", "redis://:redis-password@127.0.0.1:9/0")
    code, out, err = run(capfd, "doctor")
    assert code == 1
    assert "Timeweb API token не настроен" in out
    assert "Redis: не отвечает" in out
    assert "redis-password" not in out + err


def test_a_name_cannot_act_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    main(["migrate"])
    with closing(sqlite3.connect("crm.sqlite3")) as connection, connection:
        connection.execute(
            "INSERT INTO hosting_servers (client_name, server_name, start_date, next_payment_date, payment_period, status)"
            " VALUES ('x', '[red]\x1b[31m\u202eevil', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'monthly', 'active')"
        )
    capfd.readouterr()
    _, out, _ = run(capfd, "servers")
    assert "[red]" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.usefixtures("configured")
def test_the_log_goes_to_stderr_and_holds_no_token(capfd: pytest.CaptureFixture[str]) -> None:
    main(["migrate"])
    capfd.readouterr()
    with Forked(main, ["-v", "sync", "--json"]) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["status"] == "success"
    assert "DEBUG" in err
    assert TOKEN not in err


def test_a_missing_driver_is_told_in_one_language(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    code, _, err = run(capfd, "servers", "--database", "postgresql://crm@127.0.0.1/crm")
    assert (code, err.strip()) == (
        2,
        "Нет драйвера базы данных. Не установлен набор [postgres]. Установите его: pip install 'timeweb-sdk[postgres]'",
    )


@pytest.mark.parametrize(("module", "extra"), [("typer", "cli"), ("sqlalchemy", "crm"), ("babel", "crm")])
def test_a_missing_extra_names_itself(module: str, extra: str) -> None:
    code = f"import sys; sys.modules['{module}'] = None\nfrom crm_adapter.cli import main\nprint(main(['servers', '--json']))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert f"timeweb-sdk[{extra}]" in done.stdout, done.stderr
    assert done.stdout.endswith("2\n")


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("as_json", [True, False])
def test_ctrl_c_frees_the_lease_and_is_told(account: EmulatorServer, tmp_path: Path, as_json: bool) -> None:
    assert main(["migrate"]) == 0
    account.emulator.add_fault(operation="getFinances", delay_ms=5_000, times=1)
    arguments = ["sync", "--json"] if as_json else ["sync"]
    with Forked(main, arguments) as process, closing(sqlite3.connect(tmp_path / "crm.sqlite3")) as database:
        until(lambda: database.execute("SELECT * FROM timeweb_sync_run").fetchall(), 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert database.execute("SELECT status FROM timeweb_sync_run").fetchall() == [("interrupted",)]
        assert database.execute("SELECT owner FROM timeweb_sync_lease").fetchall() == [(None,)]
    assert process.returncode == 130
    assert "Traceback" not in err
    if as_json:
        assert json.loads(out) == {"success": False, "code": "interrupted", "error": "Прервано"}
    else:
        assert "Прервано" in err
