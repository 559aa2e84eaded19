"""`timeweb-crm notify`, `prune` and `worker`: what cron and containers call."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from crm_adapter.cli.output import DONE, FAILED, USAGE, CommandError, Output
from crm_adapter.cli.runtime import database
from crm_adapter.interruption import Interrupted
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.jobs.scheduler import Scheduler
from crm_adapter.notify import apprise_sinks
from crm_adapter.telemetry import JsonFormatter
from crm_adapter.text import command as words
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crm_adapter.settings import Settings


def notify(settings: Settings, output: Output) -> int:
    """Queue reminders and send what waits, once."""
    _check(settings)
    if not settings.hosting_notify_urls:
        raise CommandError(
            "no_sinks",
            words.NO_SINKS,
            hint=words.NO_SINKS_HINT,
        )
    jobs = Jobs(lambda: settings)
    try:
        queued, sent = jobs.payment_reminders(), jobs.dispatch_events()
    finally:
        jobs.close()
    reminders = queued["due"] + queued["overdue"]
    line = words.notified(reminders, sent["messages"], sent["failed"])
    output.result({"success": not sent["failed"], "reminders": queued, "dispatch": sent}, line)
    return FAILED if sent["failed"] else DONE


def prune(settings: Settings, output: Output) -> int:
    """Delete what is older than `HOSTING_KEEP_DAYS`, once."""
    with database(settings) as db:
        pruned = Jobs(lambda: settings, db=db).prune()
    line = words.pruned(pruned["runs"], pruned["events"], pruned["changes"])
    output.result({"success": True, **pruned}, line)
    return DONE


def worker(settings: Settings, reload: Callable[[], Settings], interval: float) -> int:
    """Run the schedule until SIGTERM or Ctrl+C; a sync under way ends at once and lets go of its account."""
    _check(settings)
    _log_as_json()
    runner = Scheduler(Jobs(reload), interval=interval)
    try:
        runner.run()
    except Interrupted:
        return DONE
    finally:
        runner.jobs.close()
    return DONE


def _check(settings: Settings) -> None:
    """What is wrong with the configuration is told now and not in a log at night."""
    with database(settings):
        pass
    try:
        apprise_sinks(settings.hosting_notify_urls)
    except (ConfigurationError, ImportError) as error:
        raise CommandError("configuration", words.misconfigured(error), exit_code=USAGE) from error


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("crm_adapter").setLevel(logging.INFO)
