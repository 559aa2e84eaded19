"""The example's compose file without containers: its commands and environment, real stores, an emulated account."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from redis import Redis
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from tests.waiting import until
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "crm"
SERVICES: dict[str, Any] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))["services"]
IMAGE = [line.split(maxsplit=1) for line in (EXAMPLE / "Dockerfile").read_text("utf-8").splitlines()]
#: What the user writes into ``.env``: a password that an address would need escaped.
DOTENV = {"TIMEWEB_API_TOKEN": "demo", "CRM_PASSWORD": "secret", "POSTGRES_PASSWORD": "p@ss/w:rd#1"}


def interpolated(value: str) -> str:
    """Fill ``${NAME:-default}`` and ``${NAME:?message}`` from ``.env``, as Compose does."""

    def fill(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        assert name in DOTENV or operator == ":-", rest
        return DOTENV.get(name, rest)

    return re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", fill, value)


class Containers:
    """Runs services of the compose file as processes, in a directory with the files that the image has."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory, self.environment = directory, environment
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for source, target in (shlex.split(rest) for instruction, rest in IMAGE if instruction == "COPY"):
            copy: Any = shutil.copytree if (EXAMPLE / source).is_dir() else shutil.copy
            copy(EXAMPLE / source, directory / target)

    def start(self, service: str) -> None:
        command = SERVICES[service].get("command") or next(rest for instruction, rest in IMAGE if instruction == "CMD")
        words = json.loads(command) if command.startswith("[") else shlex.split(command)
        # What belongs to the container alone is the machine's here: its port, all its addresses, its /tmp.
        own = {"8000": "0", "0.0.0.0": "127.0.0.1", "/tmp/beat": str(self.directory / "beat")}
        scripts = Path(sys.executable).parent
        with (self.directory / f"{service}.log").open("wb") as log:
            self.processes[service] = subprocess.Popen(
                [str(scripts / words[0]), *(own.get(word, word) for word in words[1:])],
                cwd=self.directory, env={"PATH": os.environ["PATH"], **self.environment},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def log(self, service: str) -> str:
        return (self.directory / f"{service}.log").read_text(errors="replace")

    def await_log(self, service: str, pattern: str) -> re.Match[str]:
        process = self.processes[service]
        until(lambda: re.search(pattern, self.log(service)) or process.poll() is not None, 60, lambda: self.log(service))
        found = re.search(pattern, self.log(service))
        assert found, self.log(service)
        return found

    def kill(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def redis_urls(redis_url: str) -> Iterator[list[str]]:
    """Two empty databases of the server: the example's queue has a name of its own, which other tests may use as well."""
    taken: dict[str, str] = {}
    with Redis.from_url(redis_url) as redis:
        for number in range(1, 16):
            key, url = f"timeweb_tests:database:{number}", urlsplit(redis_url)._replace(path=f"/{number}").geturl()
            if len(taken) < 2 and redis.set(key, "taken", nx=True, ex=300):
                with Redis.from_url(url) as database:
                    if database.dbsize():
                        redis.delete(key)
                    else:
                        taken[key] = url
        assert len(taken) == 2, "no two empty databases on the Redis server"
        yield list(taken.values())
        for key, url in taken.items():
            with Redis.from_url(url) as database:
                database.flushdb()
            redis.delete(key)


@pytest.fixture
def postgres_owner(postgres_url: str) -> Iterator[str]:
    """A new database and its owner of the same name, with the password of ``.env``."""
    name = f"crm_compose_{uuid.uuid4().hex[:12]}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{DOTENV['POSTGRES_PASSWORD']}'"))
        connection.execute(text(f"CREATE DATABASE {name} OWNER {name}"))
        yield name
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        connection.execute(text(f"DROP ROLE {name}"))


@pytest.fixture
def containers(tmp_path: Path, postgres_url: str, postgres_owner: str, redis_urls: list[str]) -> Iterator[Containers]:
    """The environment of the compose file with its two stores where they are on this machine."""
    own = {name: interpolated(value) for name, value in SERVICES["page"]["environment"].items()}
    assert own == {name: interpolated(value) for name, value in SERVICES["worker"]["environment"].items()}
    database, server = make_url(own["HOSTING_DATABASE_URL"]), make_url(postgres_url)
    store = SERVICES["postgres"]["environment"]
    assert (database.host, database.username, database.database) == ("postgres", store["POSTGRES_USER"], store["POSTGRES_USER"])
    database = database.set(host=server.host, port=server.port, username=postgres_owner, database=postgres_owner)
    own["HOSTING_DATABASE_URL"] = database.render_as_string(hide_password=False)
    for name, url in zip(("TIMEWEB_REDIS_URL", "CELERY_BROKER_URL"), redis_urls, strict=True):
        assert urlsplit(own[name]).hostname == "redis"
        own[name] = url
    with ExitStack() as cleanup:
        account = cleanup.enter_context(EmulatorServer(Emulator(demo_state(), token=DOTENV["TIMEWEB_API_TOKEN"])))
        running = Containers(tmp_path, own | {"TIMEWEB_BASE_URL": account.url})
        cleanup.callback(running.kill)
        yield running


def test_page_and_worker_of_the_compose_file(containers: Containers) -> None:
    """The page migrates the database and asks for a first sync, the worker does it, the page shows it."""
    containers.start("page")
    url = containers.await_log("page", r"running on (http://127\.0\.0\.1:\d+)")[1]
    containers.start("worker")
    with httpx.Client(base_url=url) as browser:
        reply = browser.get("/admin/hosting")
        assert (reply.status_code, reply.headers["location"]) == (303, "/login")
        login = browser.post("/login", data={"name": "Анна", "password": DOTENV["CRM_PASSWORD"]})
        assert (login.status_code, login.headers["location"]) == (303, "/admin/hosting")
        browser.get("/admin/hosting")
        containers.await_log("worker", r"Task timeweb_crm\.sync_all_accounts\[\S+\] succeeded")
        assert "gitlab" in browser.get("/admin/hosting").text
    containers.await_log("worker", r"beat: Starting\.\.\.")
    for service, process in containers.processes.items():  # `docker compose stop`
        process.terminate()
        assert process.wait(30) in {0, -signal.SIGTERM}, containers.log(service)  # uvicorn ends by the signal, orderly
        assert "Traceback" not in containers.log(service)


def test_the_image_installs_what_the_services_run() -> None:
    install = next(rest for instruction, rest in IMAGE if rest.startswith("pip install"))
    extras = re.search(r"timeweb-sdk\[([\w,]+)\]", install)
    assert extras
    assert {"web", "postgres", "celery", "redis"} <= set(extras[1].split(","))
    assert set(extras[1].split(",")) <= set(importlib.metadata.metadata("timeweb-sdk").get_all("Provides-Extra") or ())
    assert SERVICES.keys() == {"page", "worker", "postgres", "redis"}
    assert all(SERVICES[name]["depends_on"].keys() == {"postgres", "redis"} for name in ("page", "worker"))
