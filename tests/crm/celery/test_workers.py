"""Tasks in real worker processes."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from crm_adapter import add_manual, runs
from crm_adapter.db.tables import ChangeLog, EventOutbox, HostingServer, SyncLease, utcnow
from crm_adapter.money import local_today
from tests.crm.celery.conftest import MAIN, SECOND, Stack
from tests.waiting import until
from timeweb_sdk.testing import Emulator

pytestmark = pytest.mark.usefixtures("two_workers")


def listings(emulator: Emulator) -> int:
    return sum(request["operation"] == "getServers" for request in list(emulator.requests))


def test_a_sync_of_one_account_brings_its_rows_and_a_small_result(stack: Stack) -> None:
    result = stack.call("sync_account", "main")

    assert result["status"] == "success"
    assert (result["created_count"], result["error_count"]) == (12, 0)
    assert len(stack.servers()) == 12
    assert len(json.dumps(result)) < 400
    assert stack.call("sync_account", "main")["status"] == "fresh"
    assert stack.call("sync_account", "unknown") == {"account": "unknown", "status": "not_configured"}
    logs = "".join(worker.log for worker in stack.workers)
    assert "sync_account" in logs
    assert not any(secret in logs + json.dumps(result) for secret in (MAIN, SECOND, "hunter2"))


def test_a_tick_syncs_every_account_on_its_own(stack: Stack) -> None:
    assert stack.call("sync_all_accounts") == {"accounts": 2, "queued": 2}
    until(lambda: [run.status for run in stack.runs()] == ["success", "success"])
    assert len(stack.servers()) == 17
    with stack.db() as session:
        whose = {tuple(row) for row in session.execute(select(ChangeLog.account, ChangeLog.run_id))}
    assert {account for account, _ in whose} == {"main", "second"}
    assert len(whose) == 2


def test_a_bad_token_hurts_no_other_account_and_a_new_one_needs_no_restart(stack: Stack) -> None:
    stack.tokens(main=MAIN, second="revoked")
    assert stack.call("sync_account", "second")["error_code"] == "unauthorized"
    assert stack.call("sync_account", "main")["status"] == "success"
    assert stack.call("sync_account", "second")["status"] == "backoff"
    assert len(stack.servers()) == 12

    stack.tokens(main=MAIN, second=SECOND)
    assert stack.call("sync_account", "second")["status"] == "success"
    assert len(stack.servers()) == 17


def test_duplicates_and_redeliveries_make_one_run(stack: Stack) -> None:
    results = [stack.send("sync_account", "main", task_id=f"same-{stack.directory.name}") for _ in range(3)]
    results += [stack.send("sync_account", "main") for _ in range(9)]
    outcomes = [result.get(timeout=30)["status"] for result in results[2:]]

    assert set(outcomes) <= {"success", "fresh", "running"}
    until(lambda: [run.status for run in stack.runs()] == ["success"])
    assert listings(stack.main) == 1
    assert len({server.timeweb_id for server in stack.servers()}) == len(stack.servers()) == 12


def test_auto_sync_is_honoured(stack: Stack) -> None:
    stack.call("sync_account", "main")
    row = stack.servers()[0]
    with stack.db() as session, session.begin():
        session.execute(update(HostingServer).values(auto_sync=HostingServer.id != row.id, configuration="old"))
    stack.make_stale()

    assert stack.call("sync_account", "main")["skipped_count"] == 1
    assert [server.id for server in stack.servers() if server.configuration == "old"] == [row.id]


def test_a_run_that_a_request_started_is_done_by_a_worker(stack: Stack) -> None:
    from crm_adapter import ensure_fresh
    from timeweb_sdk import Timeweb

    handed: list[dict[str, str]] = []
    with Timeweb(MAIN, base_url=stack.environment["TIMEWEB_BASE_URL"]) as client:
        freshness = ensure_fresh(stack.db, {"main": client}, runner=lambda leases: handed.append(dict(leases)))
    assert stack.call("sync_account", "main")["status"] == "running"

    result = stack.call("sync_all_accounts", handed[0])
    assert (result["status"], result["run_id"]) == ("success", freshness.run_id)
    # Delivered twice, it starts one run.
    assert stack.call("sync_all_accounts", handed[0])["error_code"] == "already_running"
    assert [run.id for run in stack.runs()] == [freshness.run_id]
    assert len(stack.servers()) == 12


def test_a_worker_killed_mid_run_leaves_what_it_wrote_and_blocks_nobody_for_long(stack: Stack) -> None:
    stack.main.add_fault(operation="getServers", delay_ms=60_000, times=1)
    queue = f"{stack.queue}.victim"
    victim = stack.start("victim", queue=queue)
    victim.wait_ready()
    stack.send("sync_account", "main", queue=queue)
    until(lambda: listings(stack.main) == 1, 60, lambda: victim.log)
    victim.kill()

    assert stack.call("sync_account", "main")["status"] == "running"
    with stack.db() as session, session.begin():
        session.execute(update(SyncLease).values(expires_ms=0))  # five minutes later
    assert stack.call("sync_account", "main")["status"] == "success"
    assert [(run.status, run.error_code) for run in runs(stack.db)] == [("success", None), ("crashed", "crashed")]
    assert len(stack.servers()) == 12


def test_a_clock_that_is_ahead_takes_no_lease_and_drops_no_tick(stack: Stack) -> None:
    stack.main.add_fault(operation="getServers", delay_ms=2_000, times=1)
    early = stack.start("early", queue=f"{stack.queue}.early", TEST_CLOCK_AHEAD="86400")
    early.wait_ready()
    pending = stack.send("sync_account", "main")
    until(lambda: listings(stack.main) == 1)
    other = stack.send("sync_account", "main", queue=f"{stack.queue}.early")

    assert other.get(timeout=30)["status"] == "running"
    assert pending.get(timeout=30)["status"] == "success"
    assert listings(stack.main) == 1
    assert "Discarding" not in early.log and "revoked" not in early.log
    early.kill()


def test_every_message_is_sent_once(stack: Stack) -> None:
    stack.call("sync_account", "main")
    today = local_today()
    for number in range(6):
        result = add_manual(
            stack.db,
            {
                "server_name": f"manual-{number}", "client_name": "Клиент", "client_price": "100", "cost_price": "50",
                "next_payment_date": today - timedelta(days=1), "start_date": date(2026, 1, 1), "payment_period": "monthly",
            },
        )  # fmt: skip
        assert result.success
    sent = [stack.send(name) for _ in range(4) for name in ("payment_reminders", "dispatch_events")]
    for result in sent:
        result.get(timeout=30)
    stack.call("dispatch_events")

    lines = [line for message in stack.post.messages for line in message["message"].splitlines()]
    assert len(lines) == len(set(lines))
    assert sum("просрочена" in line for line in lines) == (6 if _after_nine() else 0)
    assert sum(line.startswith("Новый сервер") for line in lines) == 12
    with stack.db() as session:
        assert _unsent(session) == 0


def _after_nine() -> bool:
    from zoneinfo import ZoneInfo

    from crm_adapter.jobs.jobs import REMINDER_HOUR

    return utcnow().astimezone(ZoneInfo("Europe/Moscow")).hour >= REMINDER_HOUR


def _unsent(session: Session) -> int:
    return len(session.scalars(select(EventOutbox.id).where(EventOutbox.sent_at.is_(None))).all())


def test_a_notifier_that_is_down_fails_no_task(stack: Stack) -> None:
    stack.post.status = 503
    stack.call("sync_account", "main")
    with stack.db() as session:
        waiting = _unsent(session)
    assert waiting > 12, "each server and what else costs money"
    assert stack.call("dispatch_events") == {"sinks": 1, "sent": 0, "failed": waiting, "dead": 0, "messages": 0}
    assert stack.call("sync_account", "main")["status"] == "fresh"
