"""What runs unattended: sync, dispatch of events, payment reminders, pruning.  Celery and the in-process runner call the same.

Every job may be called at any time, twice, or by many processes at once: the database decides whether there is
something to do (age of the data, backoff, lease, outbox), not the schedule and not the queue.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import blocking, telemetry
from crm_adapter.db.columns import FieldMap, in_zone
from crm_adapter.db.tables import HostingServer
from crm_adapter.jobs import retention
from crm_adapter.notify import Sink, apprise_sinks
from crm_adapter.results import SyncReport
from crm_adapter.settings import Settings, load_settings
from crm_adapter.steps import drive
from crm_adapter.sync.freshness import ACTOR
from crm_adapter.wiring import AccountClients, open_engine
from timeweb_sdk import Timeweb

__all__ = ["REMINDER_HOUR", "Jobs"]

#: Nobody is reminded of a payment before this hour of the studio's day.
REMINDER_HOUR: Final = 9
_COUNTS: Final = (
    "created_count", "updated_count", "unchanged_count", "linked_count", "missing_count", "restored_count", "skipped_count",
    "error_count", "api_calls",
)  # fmt: skip

logger = logging.getLogger(__name__)


class Jobs:
    """The periodic work of one installation.  Nothing is opened before it is needed, and nothing survives a fork.

    ``settings`` is called for each job.  ``db``, ``timeweb`` and ``sinks`` replace what the settings lead to: the host's
    sessionmaker, its clients, its bot.  Results are small dicts of ids, counts and codes.
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
        """Sync one account if its data is stale and it may be asked now; only rows with ``auto_sync``.

        ``status`` is that of the run, or ``fresh``, ``running``, ``backoff``, ``not_configured`` when there was none.
        """
        client = self._clients.get(account)
        if client is None:
            return {"account": account, "status": "not_configured"}
        settings, reports = self._settings(), list[SyncReport]()
        freshness = blocking.ensure_fresh(
            self._db(), {account: client}, max_age=settings.timeweb_sync_stale_after,
            runner=lambda leases: reports.append(self._sync({account: client}, leases, settings)), **self._mapping(),
        )  # fmt: skip
        if not reports:
            return {"account": account, "status": freshness.status, "run_id": freshness.run_id}
        return {"account": account, **_summary(reports[0])}

    def sync_handed(self, leases: Mapping[str, str]) -> dict[str, Any]:
        """Do the run that a request started: its leases (account -> owner) come along and are the whole job."""
        clients = {name: client for name, client in self._clients.items() if name in leases}
        if not clients:
            return {"status": "not_configured"}
        return _summary(self._sync(clients, leases, self._settings()))

    def dispatch_events(self) -> dict[str, Any]:
        """Send waiting events to ``HOSTING_NOTIFY_URLS`` (or the host's sinks); without any they stay where they are."""
        sinks = self._sinks if self._sinks is not None else apprise_sinks(self._settings().hosting_notify_urls)
        if not sinks:
            return {"sinks": 0}
        report = blocking.dispatch_events(self._db(), sinks)
        if report.messages or report.failed:
            telemetry.log(logger, "events dispatched", **report.to_dict())
        return {"sinks": len(sinks), **report.to_dict()}

    def payment_reminders(self, *, now: datetime | None = None) -> dict[str, Any]:
        """Put due and overdue payments into the outbox, from 9 in the morning on (``HOSTING_TZ``)."""
        mapping = self._mapping()
        zone = ZoneInfo(mapping["fields"].zone)
        local = (now or datetime.now(zone)).astimezone(zone)
        if local.hour < REMINDER_HOUR:
            return {"due": 0, "overdue": 0}
        report = blocking.payment_reminders(self._db(), today=local.date(), **mapping)
        if report.due or report.overdue:
            telemetry.log(logger, "payment reminders queued", **report.to_dict())
        return report.to_dict()

    def prune(self) -> dict[str, Any]:
        """Delete runs and sent events that are older than ``HOSTING_KEEP_DAYS``."""
        keep = timedelta(days=self._settings().hosting_keep_days)
        report = drive(retention.prune(keep), self._db(), {})
        if report.runs or report.events:
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

    def _sync(self, clients: Mapping[str, Timeweb], leases: Mapping[str, str], settings: Settings) -> SyncReport:
        return blocking.sync_all(
            self._db(), clients, only_auto=True, import_new=settings.timeweb_auto_import, actor=ACTOR,
            link_policy=settings.timeweb_link_policy, leases=leases, **self._mapping(),
        )  # fmt: skip

    def _mapping(self) -> dict[str, Any]:
        return {"model": self._model, "fields": in_zone(self._fields, self._settings().hosting_tz)}

    def _db(self) -> sessionmaker[Session]:
        if self._own_db is not None:
            return self._own_db
        settings = self._settings()
        with self._lock:
            wanted = (os.getpid(), settings.database_url)
            if self._engine is None or self._engine_of != wanted:
                if self._engine is not None:
                    # Connections of the parent process are its own to close.
                    self._engine.dispose(close=self._engine_of is not None and self._engine_of[0] == os.getpid())
                self._engine, self._engine_of = open_engine(settings), wanted
            return sessionmaker(self._engine)


def _summary(report: SyncReport) -> dict[str, Any]:
    return {
        "status": report.status,
        "error_code": report.error_code,
        "run_id": report.run_id,
        **{name: getattr(report, name) for name in _COUNTS},
    }
