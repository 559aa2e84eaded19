"""An installation as it stands on a machine: beat, workers and the served page as processes, a browser, nobody at the helm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import expect, sync_playwright
from sqlalchemy import update

from crm_adapter import runs
from crm_adapter.cli import main
from crm_adapter.db.tables import SyncLease
from tests.crm.celery import started
from tests.crm.celery.conftest import Stack
from tests.crm.celery.test_workers import listings
from tests.crm.web.conftest import CHROMIUM_FLAGS
from tests.forked import Forked
from tests.waiting import until


@contextmanager
def beat(stack: Stack, queue: str) -> Iterator[None]:
    """`celery beat` with three ticks a second."""
    environment = stack.environment | {"TEST_QUEUE": queue, "TEST_TICK": "0.3"}
    arguments = ["beat", f"--schedule={stack.directory / 'schedule'}"]
    with Forked(started.run, arguments, directory=stack.directory, environment=environment):
        yield


def test_it_goes_on_whoever_is_killed(stack: Stack, chromium_path: str) -> None:
    queue = f"{stack.queue}.beat"
    victim = stack.start("victim", queue=queue, TEST_QUEUE=queue)

    page_server = Forked(main, ["serve", "--port", "0"], environment=stack.environment)

    def told() -> str:
        return victim.log + page_server.log + json.dumps([run.status for run in stack.runs()])

    with page_server, beat(stack, queue), sync_playwright() as playwright:
        until(lambda: [run.status for run in stack.runs()] == ["success", "success"], 60, told)
        until(lambda: sum(text["message"].count("Новый сервер") for text in stack.post.messages) == 17, 60, told)
        until(lambda: "timeweb_crm.payment_reminders[" in victim.log, 60, told)

        # Its worker is killed in the middle of a run; the page sees a run go on that nobody does any more.
        stack.main.add_fault(operation="getServers", delay_ms=60_000, times=1)
        stack.main.state["servers"][0]["name"] = "renamed-meanwhile"
        before = listings(stack.main)
        stack.make_stale()
        until(lambda: listings(stack.main) > before, 60, told)
        victim.kill()
        page = playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS).new_page()
        page.goto(next(word for word in page_server.out.split() if word.startswith("http:")))
        expect(page.locator("#hosting-main tbody tr")).to_have_count(17, timeout=60_000)
        expect(page.get_by_text("renamed-meanwhile")).to_have_count(0)

        # Another worker comes, and the lease of the dead one lapses.
        heir = stack.start("heir", queue=queue, TEST_QUEUE=queue)
        with stack.db() as session, session.begin():
            session.execute(update(SyncLease).values(expires_ms=0, queued_ms=None))  # five minutes later
        until(lambda: any(server.server_name == "renamed-meanwhile" for server in stack.servers()), 60, lambda: heir.log)
        page.get_by_role("link", name="Обновить").click()
        expect(page.get_by_text("renamed-meanwhile").first).to_be_visible(timeout=60_000)
    heir.kill()
    assert {run.status for run in runs(stack.db)} == {"crashed", "success"}
    assert len(stack.servers()) == 17
