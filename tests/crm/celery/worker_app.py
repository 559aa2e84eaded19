"""The shipped application with a queue and keys of the test's own: ``celery -A tests.crm.celery.worker_app worker``.

The pace of calls is off: it has tests of its own, and here it would only cost time.  ``TEST_TICK`` shortens beat's minute.
``TEST_CLOCK`` names a file with an instant: tasks live then, whatever the time is.  ``TEST_DONE`` names a file that gets a
line for each task that ended.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import time_machine
from celery.signals import task_postrun, task_prerun

from crm_adapter import wiring
from crm_adapter.tasks import beat_schedule
from crm_adapter.tasks.app import app
from tests.crm.celery.workers import unpaced

wiring.rate_limit = unpaced

name = os.environ["TEST_QUEUE"]
app.conf.update(
    task_default_queue=name,
    result_backend=os.environ["TEST_RESULT_BACKEND"],
    result_backend_transport_options={"global_keyprefix": f"{name}:"},
    result_expires=120,
)
if app.conf.broker_url.startswith("redis"):
    app.conf.broker_transport_options = {"global_keyprefix": f"{name}:"}

if tick := os.environ.get("TEST_TICK"):
    app.conf.beat_schedule = beat_schedule(every=float(tick))

if ahead := float(os.environ.get("TEST_CLOCK_AHEAD", "0")):
    time_machine.travel(time.time() + ahead, tick=True).start()

if "TEST_CLOCK" in os.environ:
    clock, done = Path(os.environ["TEST_CLOCK"]), Path(os.environ["TEST_DONE"])
    travellers: list[Any] = []

    def depart(**_: object) -> None:
        traveller = time_machine.travel(float(clock.read_text()), tick=True)
        traveller.start()
        travellers.append(traveller)

    def arrive(task: Any, **_: object) -> None:
        travellers.pop().stop()
        with done.open("a") as file:
            file.write(f"{task.name}\n")

    task_prerun.connect(depart, weak=False)
    task_postrun.connect(arrive, weak=False)
