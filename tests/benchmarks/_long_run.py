"""One run over many accounts at the CRM's own pace, beside a page that somebody keeps open: minutes of the clock."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from itertools import count

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import sync_all
from crm_adapter.db.tables import AccountState, ChangeLog, EventOutbox, HostingServer, SyncLease, SyncRun
from crm_adapter.settings import Settings
from crm_adapter.web import create_hosting_router
from crm_adapter.wiring import rate_limit
from timeweb_sdk import Timeweb
from timeweb_sdk.testing import Emulator, demo_state

SERVERS = 5
_LOOKS_EVERY = 20.0
"""Seconds between two openings of the page: fifteen of them before a lease would run out that nobody renews."""


def _account(number: int) -> Emulator:
    """An account whose servers and identity no other one has."""
    state = demo_state(SERVERS)
    for server in state["servers"]:
        server["id"] += number * 1_000_000
    for project in state["projects"]:
        project["account_id"] = f"cp{number:05}"
    # What else the demonstration has belongs to servers of other numbers.
    kept = {name: state[name] for name in ("servers", "projects", "finances")}
    return Emulator(kept, token=f"token-{number}", rate_limit=False)


def _allowed(_: Request) -> None:
    """Everybody may."""


class _Page:
    """Somebody opens the page, again and again."""

    def __init__(self, db: sessionmaker[Session], clients: dict[str, Timeweb]) -> None:
        self.answers: list[tuple[int, float]] = []
        self._app = FastAPI()
        self._app.include_router(create_hosting_router(db, clients, dependencies=[_allowed], prefix="/hosting"))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Page:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        with TestClient(self._app, base_url="https://crm.example.com") as browser:
            # The first look comes when the run has its leases: before that it would rightly start one itself.
            while not self._over.wait(_LOOKS_EVERY):
                started = time.monotonic()
                status = browser.get("/hosting").status_code
                self.answers.append((status, time.monotonic() - started))


def long_run(engine: sa.Engine, accounts: int) -> tuple[str, bool]:
    """What became of one run over so many accounts beside an open page, and whether all of it is right."""
    db, limit = sessionmaker(engine), rate_limit(Settings.model_validate({}))
    emulators = [_account(number) for number in range(accounts)]
    with ExitStack() as stack:

        def clients() -> dict[str, Timeweb]:
            made = (
                Timeweb(emulator.token, http_client=emulator.http_client(), rate_limit=limit, read_only=True)
                for emulator in emulators
            )
            return {f"a{number:03}": stack.enter_context(client) for number, client in zip(count(), made)}

        ours, of_page = clients(), clients()
        started = time.monotonic()
        with _Page(db, of_page) as page:
            report = sync_all(db, ours)
        taken = time.monotonic() - started
    with db() as session:
        runs = session.execute(sa.select(SyncRun.status, SyncRun.report)).all()
        lists = {item["account"] for _, stored in runs for item in json.loads(stored or "{}").get("accounts", ())}
        said = {
            "rows": session.scalar(sa.select(sa.func.count()).select_from(HostingServer)),
            "rows in the change log": session.scalar(sa.select(sa.func.count()).select_from(ChangeLog)),
            "accounts synchronised": session.scalar(
                sa.select(sa.func.count()).select_from(AccountState).where(AccountState.last_status == "success")
            ),
            "leases still held": session.scalar(
                sa.select(sa.func.count()).select_from(SyncLease).where(SyncLease.owner.is_not(None))
            ),
            "events": session.scalar(sa.select(sa.func.count()).select_from(EventOutbox)),
        }
    longest = max((seconds for _, seconds in page.answers), default=0)
    asked = sum(len(emulator.requests) for emulator in emulators)
    good = (
        [status for status, _ in runs] == ["success"]
        and len(lists) == len(report.accounts) == accounts == said["accounts synchronised"]
        and {status for status, _ in page.answers} == {200}
        and said["leases still held"] == 0
        and said["rows"] == accounts * SERVERS
    )
    lines = [
        f"| one run of {accounts} accounts beside an open page | |",
        "|---|--:|",
        f"| time | {taken:.0f} s |",
        f"| calls to Timeweb | {asked:,} |",
        f"| runs, and how they ended | {len(runs)}, {', '.join(status for status, _ in runs)} |",
        f"| accounts in the stored report | {len(lists)} |",
        f"| the page was opened | {len(page.answers)} times, longest {longest * 1000:.0f} ms |",
        *(f"| {name} | {number:,} |" for name, number in said.items()),
    ]
    return "\n".join(lines), good
