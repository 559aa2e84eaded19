"""The schedule inside one process, for an installation without a queue: a loop in a thread, or as the main program."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from crm_adapter.interruption import ended_by, shielded
from crm_adapter.jobs.jobs import Jobs

__all__ = ["INTERVAL", "Scheduler"]

INTERVAL: Final = 60.0
"""Seconds between two rounds; whether there is something to do is for the database to say."""

logger = logging.getLogger(__name__)


class Scheduler:
    """Calls the jobs again and again; what one of them raises is logged and stops nothing else.

    Several processes may run it at once: leases and claims keep them apart. As a context manager it is a thread called
    `timeweb-crm-scheduler` that ends with the block.
    """

    def __init__(self, jobs: Jobs, *, interval: float = INTERVAL) -> None:
        self.jobs, self.interval = jobs, interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def round(self) -> dict[str, Any]:
        """Everything once: sync each account, queue reminders, send what waits, prune; results by job, None for a failure."""
        results: dict[str, Any] = {}
        for account in _guarded("accounts", self.jobs.accounts) or ():
            results[f"sync:{account}"] = _guarded("sync_account", self.jobs.sync_account, account)
        results["payment_reminders"] = _guarded("payment_reminders", self.jobs.payment_reminders)
        results["dispatch_events"] = _guarded("dispatch_events", self.jobs.dispatch_events)
        results["prune"] = _guarded("prune", self.jobs.prune)
        return results

    def run(self) -> None:
        """Work until `stop`; a sync that is under way ends at its next step and lets go of its account."""
        logger.info("the schedule begins, a round every %g s", self.interval)
        with ended_by(self._stop), suppress(asyncio.CancelledError):
            while not self._stop.is_set():
                began = time.monotonic()
                # A sync says itself where it may be ended; the other jobs are short and are finished.
                with shielded():
                    done = self.round()
                failed = ", ".join(name for name, result in done.items() if result is None) or "none"
                logger.info("a round of %d jobs took %.1f s, failed: %s", len(done), time.monotonic() - began, failed)
                self._stop.wait(self.interval)
        logger.info("the schedule ends")

    def stop(self) -> None:
        """End `run` soon; callable from signal handlers and other threads."""
        self._stop.set()

    def __enter__(self) -> Scheduler:
        self._thread = threading.Thread(target=self.run, name="timeweb-crm-scheduler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join()
        self.jobs.close()


def _guarded(name: str, job: Callable[..., Any], *arguments: str) -> Any:
    try:
        return job(*arguments)
    except Exception:
        logger.exception("the job %s failed", name)
        return None
