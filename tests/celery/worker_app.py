"""The shipped application with a queue and keys of the test's own: ``celery -A tests.celery.worker_app worker``."""

from __future__ import annotations

import os

from crm_adapter.tasks.app import app

if ahead := float(os.environ.get("TEST_CLOCK_AHEAD", "0")):
    import time

    import time_machine

    time_machine.travel(time.time() + ahead, tick=True).start()

name = os.environ["TEST_QUEUE"]
app.conf.update(
    task_default_queue=name,
    result_backend=os.environ["TEST_RESULT_BACKEND"],
    result_backend_transport_options={"global_keyprefix": f"{name}:"},
    result_expires=120,
)
if app.conf.broker_url.startswith("redis"):
    app.conf.broker_transport_options = {"global_keyprefix": f"{name}:"}
