"""The jobs and the loop around them."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import sessionmaker

from crm_adapter import add_manual, runs
from crm_adapter.cli import main
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.jobs.scheduler import Scheduler
from crm_adapter.settings import load_settings
from crm_adapter.telemetry import JsonFormatter
from crm_adapter.wiring import open_engine
from tests.crm.database import kept
from tests.crm.notify.outbox import Inbox
from tests.crm.notify.service import NotificationService
from tests.forked import Forked
from tests.waiting import until
from timeweb_sdk.testing import Emulator

#: Apprise imports every plugin it has, and one of them a module that Python 3.13 drops.
pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")


def test_a_round_does_everything_and_the_next_finds_nothing_to_do(installation: Path, emulator: Emulator) -> None:
    inbox = Inbox()
    runner = Scheduler(kept(Jobs(sinks=[inbox])))
    first = runner.round()
    assert (first["sync:default"]["status"], first["sync:default"]["created_count"]) == ("success", 5)
    assert first["dispatch_events"]["sent"] == len(inbox.messages[0][2]) >= 5
    asked = len(emulator.requests)

    second = runner.round()
    assert second["sync:default"]["status"] == "fresh"
    assert second["dispatch_events"]["messages"] == 0
    assert len(emulator.requests) == asked


def test_one_job_that_fails_stops_no_other(installation: Path, caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()
    jobs = kept(Jobs(sinks=[inbox]))

    def broken(**_: object) -> dict[str, Any]:
        raise RuntimeError("no reminders today")

    jobs.payment_reminders = broken  # type: ignore[method-assign]
    results = Scheduler(jobs).round()
    assert results["payment_reminders"] is None
    assert results["sync:default"]["status"] == "success"
    assert inbox.messages
    assert "payment_reminders failed" in caplog.text


def test_a_thread_that_ends_with_its_block(installation: Path) -> None:
    done = threading.Event()
    jobs = Jobs(sinks=[lambda title, text, events: done.set()])
    with Scheduler(jobs, interval=3600) as runner:
        assert done.wait(30)
        names = {thread.name for thread in threading.enumerate()}
    assert "timeweb-crm-scheduler" in names
    assert not any(thread.name == "timeweb-crm-scheduler" for thread in threading.enumerate())
    runner.stop()


@pytest.mark.parametrize(("hour", "minute", "due"), [(8, 59, 0), (9, 0, 1), (23, 59, 1)])
def test_nobody_is_reminded_at_night(installation: Path, hour: int, minute: int, due: int) -> None:
    engine = kept(open_engine(load_settings()))
    today = datetime(2026, 3, 31, tzinfo=ZoneInfo("Europe/Moscow"))
    values = {
        "server_name": "shop", "client_name": "Клиент", "client_price": "100", "cost_price": "50",
        "next_payment_date": today.date(), "start_date": today.date(), "payment_period": "monthly",
    }  # fmt: skip
    assert add_manual(sessionmaker(engine), values).success
    jobs = kept(Jobs())
    at = today.replace(hour=hour, minute=minute).astimezone(UTC)
    assert jobs.payment_reminders(now=at) == {"due": due, "overdue": 0}


def test_without_addresses_events_wait(installation: Path) -> None:
    jobs = kept(Jobs())
    jobs.sync_account("default")
    assert jobs.dispatch_events() == {"sinks": 0}


def test_notify_command(installation: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notify", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "no_sinks"
    kept(Jobs()).sync_account("default")
    with NotificationService().serving() as post:
        monkeypatch.setenv("HOSTING_NOTIFY_URLS", post.url)
        assert main(["notify", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["dispatch"]["messages"] == 1
        assert len(post.messages) == 1
    monkeypatch.setenv("HOSTING_NOTIFY_URLS", "nonsense://SECRET")
    assert main(["notify", "--json"]) == 2
    said = capsys.readouterr()
    assert "HOSTING_NOTIFY_URLS" in said.out
    assert "SECRET" not in said.out + said.err


def test_worker_command(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NotificationService().serving() as post:
        monkeypatch.setenv("HOSTING_NOTIFY_URLS", post.url)
        with Forked(main, ["worker"]) as process:
            until(lambda: post.messages, 60, lambda: process.log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            log = process.log
    records = [json.loads(line) for line in log.splitlines()]
    (finished,) = (record for record in records if record["event"] == "sync finished")
    assert (finished["status"], finished["created_count"]) == ("success", 5)
    assert any(record["event"] == "events dispatched" and record["messages"] == 1 for record in records)
    assert "token-of" not in log and "hunter2" not in log
    engine = kept(open_engine(load_settings()))
    assert [run.status for run in runs(sessionmaker(engine))] == ["success"]


def test_json_records_keep_their_own_keys() -> None:
    import logging

    record = logging.LogRecord("crm_adapter", logging.INFO, "", 0, "hello %s", ("you",), None)
    assert json.loads(JsonFormatter().format(record))["event"] == "hello you"
    record.fields = {"account": "main", "level": "spoof"}
    assert json.loads(JsonFormatter().format(record)) | {"at": ""} == {
        "at": "", "level": "info", "logger": "crm_adapter", "event": "hello you", "account": "main",
    }  # fmt: skip
