"""Two installations: workers on a queue with PostgreSQL and Redis, and one process with SQLite."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import time_machine
from celery import Celery
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import migrations
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.jobs.scheduler import Scheduler
from crm_adapter.settings import load_settings
from crm_adapter.tasks import beat_schedule
from tests.crm.celery.workers import ROOT, Worker
from tests.crm.e2e.day import TOKENS
from tests.crm.notify.service import NotificationService
from tests.databases import own_database
from tests.waiting import until


@dataclass
class Queue:
    """Two workers, a broker and beat's schedule, whose ticks the test sends."""

    directory: Path
    db: sessionmaker[Session]
    post: NotificationService
    database_url: str
    celery: Celery
    workers: list[Worker]

    def tick(self, at: datetime) -> None:
        (self.directory / "clock").write_text(str(at.timestamp()))
        sync, dispatch, reminders, prune = (entry["task"] for entry in beat_schedule().values())
        self._sync(sync)
        self._do(reminders, {reminders: 2}, times=2)
        # Both workers at once: still every message once.
        self._do(dispatch, {dispatch: 2}, times=2)
        self._do(prune, {prune: 1})

    def _sync(self, task: str) -> None:
        """Until every account that the tick queued is done: those that are due, of all that are configured."""
        self._begin()
        told = self.celery.send_task(task).get(timeout=60)
        assert told["accounts"] == len(TOKENS)
        self._await({task: 1} | ({"timeweb_crm.sync_account": told["queued"]} if told["queued"] else {}))

    def _do(self, task: str, expected: dict[str, int], *, times: int = 1) -> None:
        self._begin()
        for _ in range(times):
            self.celery.send_task(task)
        self._await(expected)

    @property
    def _done(self) -> Path:
        return self.directory / "done"

    def _begin(self) -> None:
        self._done.write_text("")

    def _await(self, expected: dict[str, int]) -> None:
        until(lambda: Counter(self._done.read_text().split()) == expected, 60, self.logs)

    def logs(self) -> str:
        return "\n".join(worker.log for worker in self.workers)


@contextmanager
def queue(directory: Path, postgres_url: str, redis_url: str, timeweb_url: str) -> Iterator[Queue]:
    name = f"crm_e2e_{uuid.uuid4().hex[:12]}"
    with ExitStack() as cleanup:
        url = cleanup.enter_context(own_database(postgres_url))
        engine = create_engine(url)
        cleanup.callback(engine.dispose)
        migrations.upgrade(engine)
        post = cleanup.enter_context(NotificationService().serving())
        celery = Celery("day", broker=redis_url, backend=redis_url, set_as_current=False)
        keys = {"global_keyprefix": f"{name}:"}
        celery.conf.update(task_default_queue=name, broker_transport_options=keys, result_backend_transport_options=keys)
        cleanup.callback(_forget, redis_url, name)
        cleanup.callback(_disconnect, celery)
        (directory / "clock").write_text("0")
        (directory / "done").write_text("")
        environment = _environment(timeweb_url, url.render_as_string(hide_password=False), post) | {
            "PYTHONPATH": str(ROOT), "CELERY_BROKER_URL": redis_url, "TIMEWEB_REDIS_URL": redis_url, "TEST_QUEUE": name,
            "TEST_RESULT_BACKEND": redis_url, "TEST_CLOCK": str(directory / "clock"), "TEST_DONE": str(directory / "done"),
        }  # fmt: skip
        workers = [Worker(worker, directory, environment, name) for worker in ("one", "two")]
        for worker in workers:
            cleanup.callback(worker.stop)
        for worker in workers:
            worker.wait_ready()
        yield Queue(directory, sessionmaker(engine), post, environment["HOSTING_DATABASE_URL"], celery, workers)


@dataclass
class OneProcess:
    """The in-process runner on SQLite."""

    directory: Path
    db: sessionmaker[Session]
    post: NotificationService
    database_url: str
    runner: Scheduler

    def tick(self, at: datetime) -> None:
        with time_machine.travel(at, tick=True):
            results = self.runner.round()
        assert None not in results.values(), results


@contextmanager
def one_process(directory: Path, timeweb_url: str) -> Iterator[OneProcess]:
    url = f"sqlite:///{directory / 'crm.sqlite3'}"
    with ExitStack() as cleanup:
        engine = create_engine(url)
        cleanup.callback(engine.dispose)
        migrations.upgrade(engine)
        post = cleanup.enter_context(NotificationService().serving())
        environment = _environment(timeweb_url, url, post)
        values: dict[str, Any] = {
            "timeweb_base_url": environment["TIMEWEB_BASE_URL"],
            "hosting_database_url": url,
            "hosting_notify_urls": (post.url,),
        }
        jobs = Jobs(lambda: load_settings(values, env_file=str(directory / ".env")))
        cleanup.callback(jobs.close)
        yield OneProcess(directory, sessionmaker(engine), post, url, Scheduler(jobs))


def _environment(timeweb_url: str, database_url: str, post: NotificationService) -> dict[str, str]:
    return {
        "TIMEWEB_BASE_URL": timeweb_url,
        "HOSTING_DATABASE_URL": database_url,
        "HOSTING_NOTIFY_URLS": json.dumps([post.url]),
    } | dict.fromkeys(("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN", "TIMEWEB_API_TOKENS"), "")


def _disconnect(celery: Any) -> None:
    celery.backend.result_consumer.stop()
    celery.backend.client.close()
    celery.close()


def _forget(redis_url: str, name: str) -> None:
    with Redis.from_url(redis_url) as redis:
        if keys := list(redis.scan_iter(f"{name}:*", count=1000)):
            redis.delete(*keys)
