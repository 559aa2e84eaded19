"""All flows under the names of the public functions; :mod:`crm_adapter.blocking` and :mod:`crm_adapter.aio` drive them."""

from __future__ import annotations

from crm_adapter.notify.outbox import dispatch_events
from crm_adapter.notify.reminders import payment_reminders
from crm_adapter.servers.edit import add_manual, link, mark_paid, set_cost, unlink, update_manual
from crm_adapter.servers.totals import changes, runs, totals
from crm_adapter.sync.freshness import ensure_fresh, give_back
from crm_adapter.sync.run import plan, sync_all
from crm_adapter.sync.single import import_servers, sync_server

__all__ = [
    "add_manual",
    "changes",
    "dispatch_events",
    "ensure_fresh",
    "give_back",
    "import_servers",
    "link",
    "mark_paid",
    "payment_reminders",
    "plan",
    "runs",
    "set_cost",
    "sync_all",
    "sync_server",
    "totals",
    "unlink",
    "update_manual",
]
