"""One stack for all tests of this directory: PostgreSQL, a broker, two emulated accounts, workers."""

from __future__ import annotations

import copy
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from celery import Celery
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter.db.tables import AccountState, HostingServer, SyncLease, SyncRun, create_all
from tests.crm.celery.workers import ROOT, Accounts, Worker
from tests.crm.notify.service import NotificationService
from tests.databases import own_database
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

MAIN, SECOND = "token-of-main", "token-of-second"


@dataclass
class Stack:
    """What the tests of this directory work with."""

    directory: Path
    environment: dict[str, str]
    accounts: Accounts
    main: Emulator
    second: Emulator
    post: NotificationService
    db: sessionmaker[Session]
    celery: Celery
    workers: list[Worker] = field(default_factory=list[Worker])

    def tokens(self, **tokens: str) -> None:
        """Write ``.env``, the file that running workers read again."""
        (self.directory / ".env").write_text(f"TIMEWEB_API_TOKENS='{json.dumps(tokens)}'\n")

    def send(self, name: str, *arguments: Any, **options: Any) -> Any:
        return self.celery.send_task(f"timeweb_crm.{name}", arguments, **options)

    def call(self, name: str, *arguments: Any) -> dict[str, Any]:
        return cast("dict[str, Any]", self.send(name, *arguments).get(timeout=30))

    def start(self, name: str, *options: str, queue: str | None = None, **environment: str) -> Worker:
        """Start a worker; one with a queue of its own gets only what is sent there."""
        worker = Worker(name, self.directory, self.environment | environment, queue or self.queue, *options)
        self.workers.append(worker)
        return worker

    @property
    def queue(self) -> str:
        return self.environment["TEST_QUEUE"]

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()

    def make_stale(self) -> None:
        """Let the data age, leases lapse and backoffs end."""
        with self.db() as session, session.begin():
            session.execute(update(AccountState).values(last_success_at=None, retry_at=None, last_status=None))
            session.execute(update(SyncLease).values(expires_ms=0))

    def runs(self) -> list[SyncRun]:
        with self.db() as session:
            return list(session.scalars(select(SyncRun).order_by(SyncRun.id)))

    def servers(self) -> list[HostingServer]:
        with self.db() as session:
            return list(session.scalars(select(HostingServer).order_by(HostingServer.id)))


def account(token: str, servers: int, number: int) -> Emulator:
    """An account of its own: servers, addresses and project are nobody else's."""
    state = copy.deepcopy(demo_state(servers))
    for item in state["servers"]:
        item["id"] += number * 100_000
        item["name"] = f"{item['name']}-{number}"
        for network in item["networks"]:
            for entry in network["ips"]:
                entry["ip"] = entry["ip"].replace("203.0.113.", "198.51.100.") if number else entry["ip"]
    for project in state["projects"]:
        project["account_id"] = f"account-{number}"
    return Emulator(state, token=token)


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> str:
    """RabbitMQ with ``TIMEWEB_TESTS_BROKER=rabbitmq``, Redis otherwise."""
    fixture = "rabbitmq_url" if os.environ.get("TIMEWEB_TESTS_BROKER") == "rabbitmq" else "redis_url"
    return str(request.getfixturevalue(fixture))


@pytest.fixture(scope="session")
def stack(broker: str, redis_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"crm_celery_{uuid.uuid4().hex[:12]}"
    directory = tmp_path_factory.mktemp("celery")
    celery = Celery("tests", broker=broker, backend=redis_url, set_as_current=False)
    celery.conf.update(task_default_queue=name, result_backend_transport_options={"global_keyprefix": f"{name}:"})
    if broker.startswith("redis"):
        celery.conf.broker_transport_options = {"global_keyprefix": f"{name}:"}
    main, second = account(MAIN, 12, 0), account(SECOND, 5, 1)
    accounts = Accounts({MAIN: main, SECOND: second})
    with ExitStack() as cleanup:
        url = cleanup.enter_context(own_database(postgres_url))
        engine = create_engine(url)
        cleanup.callback(engine.dispose)
        with engine.begin() as connection:
            create_all(connection)
        cleanup.callback(_disconnect, celery)
        cleanup.callback(_delete_keys, redis_url, name)
        cleanup.callback(_delete_queue, celery, name)
        server = cleanup.enter_context(EmulatorServer(accounts))
        post = cleanup.enter_context(NotificationService().serving())
        environment = {
            "PYTHONPATH": str(ROOT),
            "CELERY_BROKER_URL": broker,
            "TEST_QUEUE": name,
            "TEST_RESULT_BACKEND": redis_url,
            "TIMEWEB_BASE_URL": server.url,
            "TIMEWEB_REDIS_URL": redis_url,
            "HOSTING_DATABASE_URL": url.render_as_string(hide_password=False),
            "HOSTING_NOTIFY_URLS": post.url,
        } | dict.fromkeys(("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN", "TIMEWEB_API_TOKENS"), "")
        stack = Stack(directory, environment, accounts, main, second, post, sessionmaker(engine), celery)
        cleanup.callback(stack.stop)
        stack.tokens(main=MAIN, second=SECOND)
        yield stack


@pytest.fixture(scope="session")
def two_workers(stack: Stack) -> None:
    """Whoever needs no others."""
    for worker in (stack.start("one"), stack.start("two")):
        worker.wait_ready()


def _disconnect(celery: Any) -> None:
    celery.backend.result_consumer.stop()
    celery.backend.client.close()
    celery.close()


def _delete_queue(celery: Any, name: str) -> None:
    if celery.conf.broker_url.startswith("amqp"):
        with celery.connection_for_write() as connection:
            for queue in (name, f"{name}.victim", f"{name}.early", f"{name}.beat"):
                connection.default_channel.queue_delete(queue)
                connection.default_channel.exchange_delete(queue)


def _delete_keys(redis_url: str, name: str) -> None:
    from redis import Redis

    with Redis.from_url(redis_url) as redis:
        if keys := list(redis.scan_iter(f"{name}*", count=1000)):
            redis.delete(*keys)


@pytest.fixture(autouse=True)
def fresh(stack: Stack) -> None:
    """Every test begins with healthy accounts, both tokens, no rows and no news."""
    stack.tokens(main=MAIN, second=SECOND)
    for emulator in (stack.main, stack.second):
        emulator.faults.clear()
        emulator.requests.clear()
    stack.post.messages.clear()
    stack.post.status = 200
    with stack.db() as session, session.begin():
        for table in ("hosting_servers", *sorted(_own_tables())):
            session.execute(text(f"TRUNCATE {table}"))


def _own_tables() -> list[str]:
    from crm_adapter.db.tables import AdapterBase

    return list(AdapterBase.metadata.tables)
