"""What runs unattended: sync, dispatch of events, payment reminders, pruning. Celery and the in-process runner call the same.

Every job may be called at any time, twice, or by many processes at once: the database decides whether there is
something to do (age of the data, backoff, lease, outbox), not the schedule and not the queue.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import telemetry
from crm_adapter.db.columns import FieldMap
from crm_adapter.db.tables import HostingServer
from crm_adapter.installation import Installation
from crm_adapter.jobs import background, retention
from crm_adapter.ledger.months import store_service_months
from crm_adapter.notify import Sink, apprise_sinks, outbox
from crm_adapter.notify.reminders import write_reminders
from crm_adapter.results import SyncReport
from crm_adapter.servers.months import store_month_ends
from crm_adapter.settings import Settings, load_settings
from crm_adapter.steps import transaction
from crm_adapter.sync import leases
from crm_adapter.sync.freshness import ACTOR, mark_due
from crm_adapter.sync.run import sync_all
from crm_adapter.wiring import AccountClients, open_engine
from timeweb_sdk import Timeweb

__all__ = ["REMINDER_HOUR", "Jobs"]

REMINDER_HOUR: Final = 9
"""Nobody is reminded of a payment before this hour of the studio's day."""
_AT_ONCE: Final = 500
"""Events that one job sends; the rest waits for the next."""
_COUNTS: Final = (
    "created_count",
    "updated_count",
    "unchanged_count",
    "linked_count",
    "missing_count",
    "restored_count",
    "skipped_count",
    "error_count",
    "api_calls",
)

logger = logging.getLogger(__name__)


class Jobs:
    """The periodic work of one installation. Nothing is opened before it is needed, and nothing survives a fork.

    `settings` is called for each job. `db`, `timeweb` and `sinks` replace what the settings lead to: the host's
    sessionmaker, its clients, its bot. Results are small dicts of ids, counts and codes.
    """

    def __init__(
        self,
        settings: Callable[[], Settings] = load_settings,
        *,
        db: sessionmaker[Session] | None = None,
        timeweb: Mapping[str, Timeweb] | None = None,
        sinks: Sequence[Sink] | None = None,
        model: type[Any] = HostingServer,
        fields: FieldMap | None = None,
    ) -> None:
        self._settings, self._own_db, self._sinks = settings, db, sinks
        self._model, self._fields = model, fields
        self._clients = AccountClients(Timeweb, settings) if timeweb is None else timeweb
        self._engine: Engine | None = None
        self._engine_of: tuple[int, object] | None = None
        self._lock = threading.Lock()

    def accounts(self) -> list[str]:
        """Names of the configured accounts, the only thing about them that travels through a queue."""
        return list(self._clients)

    def sync_account(self, account: str) -> dict[str, Any]:
        """Sync one account if its data is stale and it may be asked now; only rows with `auto_sync`.

        `status` is that of the run, or `fresh`, `running`, `backoff`, `not_configured` when there was none.
        """
        client = self._clients.get(account)
        if client is None:
            return {"account": account, "status": "not_configured"}
        crm, reports = self._crm({account: client}), list[SyncReport]()
        crm.run(lambda _: transaction(lambda session: leases.forget_queued(session, [account])))
        freshness = background.ensure_fresh(
            crm, max_age=crm.stale_after, runner=lambda handed: reports.append(_sync(crm, handed))
        )
        if not reports:
            return {"account": account, "status": freshness.status, "run_id": freshness.run_id}
        return {"account": account, **_summary(reports[0])}

    def queue_accounts(self, send: Callable[[str], object]) -> list[str]:
        """Send the names of the accounts that are due and not on their way yet; returns them.

        The mark is in the database, by its clock: ticks that were missed find it, and nothing piles up.
        """
        crm = self._crm(dict(self._clients.items()))
        names = crm.run(lambda crm: mark_due(crm.clients, max_age=crm.stale_after))
        waiting = list(names)
        try:
            while waiting:
                send(waiting[0])
                waiting.pop(0)
        finally:
            if waiting:
                crm.run(lambda _: transaction(lambda session: leases.forget_queued(session, waiting)))
        return names

    def sync_handed(self, handed: Mapping[str, str]) -> dict[str, Any]:
        """Do the run that a request started: its leases (account -> owner) come along and are the whole job."""
        clients = {name: client for name, client in self._clients.items() if name in handed}
        if not clients:
            return {"status": "not_configured"}
        return _summary(_sync(self._crm(clients), handed))

    def dispatch_events(self) -> dict[str, Any]:
        """Send waiting events to `HOSTING_NOTIFY_URLS` (or the host's sinks); without any they stay where they are."""
        sinks = self._sinks if self._sinks is not None else apprise_sinks(self._settings().hosting_notify_urls)
        if not sinks:
            return {"sinks": 0}
        report = self._crm().run(lambda _: outbox.dispatch_events(sinks, limit=_AT_ONCE, now=None))
        if report.messages or report.failed:
            telemetry.log(logger, "events dispatched", **report.to_dict())
        return {"sinks": len(sinks), **report.to_dict()}

    def payment_reminders(self, *, now: datetime | None = None) -> dict[str, Any]:
        """Put due and overdue payments into the outbox, from 9 in the morning on (`HOSTING_TZ`)."""
        crm = self._crm()
        local = (now or datetime.now(UTC)).astimezone(crm.zone_info)
        if local.hour < REMINDER_HOUR:
            return {"due": 0, "overdue": 0}
        report = crm.run(lambda crm: transaction(lambda session: write_reminders(session, crm.columns, local.date())))
        if report.due or report.overdue:
            telemetry.log(logger, "payment reminders queued", **report.to_dict())
        return report.to_dict()

    def prune(self) -> dict[str, Any]:
        """Store the ends of months that are over, then delete what is older than `HOSTING_KEEP_DAYS` and its like allow."""
        settings, crm = self._settings(), self._crm()
        keep, days = timedelta(days=settings.hosting_keep_days), settings.hosting_keep_changes_days
        keep_changes = None if days is None else timedelta(days=days)
        crm.run(lambda crm: transaction(lambda s: store_month_ends(s, crm.columns, crm.today(), crm.zone_info)))
        crm.run(lambda crm: transaction(lambda s: store_service_months(s, crm.columns, crm.today(), crm.zone_info)))
        report = crm.run(lambda _: retention.prune(keep, keep_changes=keep_changes))
        if report.runs or report.events or report.changes:
            telemetry.log(logger, "old rows deleted", **report.to_dict())
        return report.to_dict()

    def close(self) -> None:
        """Close the connections that were opened here."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = self._engine_of = None
        if isinstance(self._clients, AccountClients):
            for client in self._clients.drain():
                client.close()

    def _crm(self, clients: Mapping[str, Timeweb] | None = None) -> Installation:
        """What the settings say now; with those clients only."""
        settings = self._settings()
        return Installation(
            db=self._db(settings),
            timeweb=clients,
            zone=settings.hosting_tz,
            import_new=settings.timeweb_auto_import,
            link_policy=settings.timeweb_link_policy,
            stale_after=settings.timeweb_sync_stale_after,
            model=self._model,
            fields=self._fields,
        )

    def _db(self, settings: Settings) -> sessionmaker[Session]:
        if self._own_db is not None:
            return self._own_db
        with self._lock:
            wanted = (os.getpid(), settings.database_url)
            if self._engine is None or self._engine_of != wanted:
                if self._engine is not None:
                    # Connections of the parent process are its own to close.
                    self._engine.dispose(close=self._engine_of is not None and self._engine_of[0] == os.getpid())
                self._engine, self._engine_of = open_engine(settings), wanted
            return sessionmaker(self._engine)


def _sync(crm: Installation, handed: Mapping[str, str]) -> SyncReport:
    return crm.run(lambda crm: sync_all(crm, actor=ACTOR, claimed=handed), ends_early=True)


def _summary(report: SyncReport) -> dict[str, Any]:
    return {
        "status": report.status,
        "error_code": report.error_code,
        "run_id": report.run_id,
        **{name: getattr(report, name) for name in _COUNTS},
    }
