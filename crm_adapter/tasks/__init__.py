"""Celery tasks, for any Celery application of the host, and the schedule to include.

    app.autodiscover_tasks(["crm_adapter"])
    app.conf.beat_schedule |= beat_schedule()

Without an application of the host there is one ready: `celery -A crm_adapter.tasks.app worker --beat`.

The queue only says when to look; the database says whether there is something to do. So a task may be delivered twice,
late, or to two workers at once, and one that is lost with its worker is no loss: the next tick comes within a minute.
Arguments are account names (and lease owners), never tokens; results are ids, counts and codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

try:
    import celery
except ImportError as error:
    raise ImportError("crm_adapter.tasks needs the extra [celery]: pip install 'timeweb-sdk[celery]'") from error

from crm_adapter.jobs.jobs import Jobs

__all__ = ["beat_schedule", "dispatch_events", "payment_reminders", "prune", "sync_account", "sync_all_accounts", "use"]

_PREFIX = "timeweb_crm"
_jobs = Jobs()


def use(jobs: Jobs) -> None:
    """Let the tasks work with the host's own sessionmaker, mapped class or sinks instead of the environment's."""
    global _jobs
    _jobs = jobs


def _task(function: Callable[..., dict[str, Any]]) -> Any:
    """Register with whatever application there is or will be; Celery's own decorator has no types."""
    # Acknowledged when done: a busy worker hoards no messages, and doing one twice costs a query.
    return cast(Any, celery).shared_task(name=f"{_PREFIX}.{function.__name__}", acks_late=True)(function)


@_task
def sync_account(account: str) -> dict[str, Any]:
    """Sync one account if its data is stale; only rows with `auto_sync`."""
    return _jobs.sync_account(account)


@_task
def sync_all_accounts(leases: dict[str, str] | None = None) -> dict[str, Any]:
    """Queue a sync of each account that is due and not queued yet, so that a slow one holds up no other.

    With `leases` this is the background run that a request started: pass `runner=sync_all_accounts.delay` to
    `create_hosting_router` or `ensure_fresh`, and that run is done here.
    """
    if leases is not None:
        return _jobs.sync_handed(leases)
    return {"accounts": len(_jobs.accounts()), "queued": len(_jobs.queue_accounts(sync_account.delay))}


@_task
def dispatch_events() -> dict[str, Any]:
    """Send waiting events."""
    return _jobs.dispatch_events()


@_task
def payment_reminders() -> dict[str, Any]:
    """Queue payment reminders, once per row, date and kind."""
    return _jobs.payment_reminders()


@_task
def prune() -> dict[str, Any]:
    """Store the ends of months, and delete what is older than `HOSTING_KEEP_DAYS`."""
    return _jobs.prune()


def beat_schedule(*, every: float = 60.0) -> dict[str, dict[str, Any]]:
    """Entries for `beat_schedule`: look every `every` seconds.

    How old data may get is `TIMEWEB_SYNC_STALE_AFTER`; a tick that finds it fresh costs one query. Ticks do not expire:
    that would be judged by the clocks of two machines, and a worker whose clock is ahead would drop them all.
    """
    ticks = {"sync_all_accounts": every, "dispatch_events": every, "payment_reminders": every * 10, "prune": every * 60}
    return {f"{_PREFIX}.{name}": {"task": f"{_PREFIX}.{name}", "schedule": seconds} for name, seconds in ticks.items()}
