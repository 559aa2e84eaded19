"""Where the tests find databases, brokers and a browser, and what their absence means.

Each service has an environment variable and a loopback default. A test whose service does not answer is skipped with
a reason; with `TIMEWEB_TESTS_REQUIRE_SERVICES=1` (as CI sets it) every skip is a failure.
"""

from __future__ import annotations

import gc
import os
import shutil
import socket
import sys
from collections.abc import Generator
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

# Where bytecode may not be kept, every process that these tests start would compile SQLAlchemy and all the rest anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Until the tests are collected there is no garbage to look for: see `pytest_collection_finish`.
gc.disable()

# People's own locale must not decide in which language the command line is tested.
os.environ["HOSTING_LANG"] = "ru"

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

REQUIRE_SERVICES = os.environ.get("TIMEWEB_TESTS_REQUIRE_SERVICES") == "1"


def pytest_collection_finish() -> None:
    """What was imported and collected stays; each collection of garbage would look through it again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module")
def settled_heap() -> None:
    """For a module that collects garbage in every test: what came before it is looked through once."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_SERVICES and report.skipped:
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_SERVICES and report.skipped:
        report.outcome = "failed"
    return report


def service_url(variable: str, default: str, name: str) -> str:
    """Return the URL of a service that accepts connections; skip the test otherwise."""
    url = os.environ.get(variable, default)
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORTS[name]), timeout=2).close()
    except OSError as error:
        pytest.skip(f"{name} does not answer at {parts.hostname}: {error}; set {variable}")
    return url


DEFAULT_PORTS = {"PostgreSQL": 5432, "MariaDB": 3306, "Redis": 6379, "RabbitMQ": 5672}


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """SQLAlchemy URL of a PostgreSQL server on which databases may be created."""
    return service_url("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres", "PostgreSQL")


@pytest.fixture(scope="session")
def mariadb_url() -> str:
    """SQLAlchemy URL of a MariaDB server on which databases may be created."""
    return service_url("TEST_MARIADB_URL", "mariadb+pymysql://root@127.0.0.1:3306/", "MariaDB")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """URL of a Redis server; use keys of your own."""
    return service_url("TEST_REDIS_URL", "redis://127.0.0.1:6379/0", "Redis")


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """AMQP URL of a RabbitMQ broker; use queues of your own."""
    return service_url("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//", "RabbitMQ")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium executable; the one that has no windows to draw needs half of the processor."""
    candidates = (os.environ.get("CHROMIUM"), "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    for candidate in candidates:
        if candidate and (path := shutil.which(candidate)):
            return path
    pytest.skip("no Chromium on PATH; install it or set CHROMIUM to its path")
