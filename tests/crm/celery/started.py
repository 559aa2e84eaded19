"""`celery` as a forked process; a module of its own, which the fork server imports once, and with it what takes time."""

from __future__ import annotations

import sys

import apprise  # noqa: F401
import celery.apps.worker
import celery.bin.celery
import celery.concurrency.prefork  # noqa: F401
import time_machine  # noqa: F401
from celery.__main__ import main

import crm_adapter.jobs.jobs
import crm_adapter.tasks
import crm_adapter.web.standalone  # noqa: F401


def run(arguments: list[str]) -> int:
    sys.argv = ["celery", "-A", "tests.crm.celery.worker_app", *arguments]
    main()
    return 0
