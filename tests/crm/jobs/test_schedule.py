"""What beat sends is what workers know, in the host's application and in the one that is shipped."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from crm_adapter import tasks
from crm_adapter.cli import main
from crm_adapter.jobs.scheduler import Scheduler
from tests.crm.celery.workers import ROOT
from tests.crm.jobs.conftest import TOKEN
from tests.forked import Forked
from tests.waiting import until
from timeweb_sdk.testing import Emulator


def _registered(celery: Any) -> set[str]:
    celery.loader.import_default_modules()
    return {name for name in celery.tasks if name.startswith("timeweb_crm.")}


def test_the_host_s_application_finds_the_tasks() -> None:
    celery: Any = Celery("host", set_as_current=False)
    celery.autodiscover_tasks(["crm_adapter"])
    known = _registered(celery)
    scheduled = {entry["task"] for entry in tasks.beat_schedule().values()}
    assert known == scheduled | {"timeweb_crm.sync_account"}


def test_the_shipped_application_needs_a_broker(installation: Path) -> None:
    command = [sys.executable, "-c", "import crm_adapter.tasks.app"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CELERY_BROKER_URL": ""}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stderr
    assert "set CELERY_BROKER_URL" in told.splitlines()[-1]


def test_the_missing_extra_names_itself() -> None:
    code = "import sys; sys.modules['celery'] = None; import crm_adapter.tasks"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False).stderr
    assert "pip install 'timeweb-sdk[celery]'" in told.splitlines()[-1]


@pytest.mark.parametrize("every", [60.0, 30.0])
def test_the_interval_is_the_host_s_to_choose(every: float) -> None:
    schedule = tasks.beat_schedule(every=every)
    assert schedule["timeweb_crm.sync_all_accounts"]["schedule"] == every


def test_everything_looks_once_a_minute_unless_it_is_told() -> None:
    assert tasks.beat_schedule() == tasks.beat_schedule(every=60)
    assert inspect.signature(Scheduler).parameters["interval"].default == 60


def test_the_page_and_the_jobs_in_one_process(installation: Path, emulator: Emulator) -> None:
    with Forked(main, ["serve", "--port", "0", "--jobs"]) as process:
        until(lambda: any(each["operation"] == "getServers" for each in list(emulator.requests)), 60, lambda: process.log)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(30)
    assert TOKEN not in out + err
