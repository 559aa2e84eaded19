"""What the settings lead to: clients of Timeweb, one per account, and the database.

Long-lived processes read the settings again for each job, so a token that was replaced in `.env` is used without a
restart. A process's own environment does not change from outside; put tokens that rotate into `.env`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from crm_adapter.settings import PREPARE_THRESHOLD, Settings, SettingsError, load_settings
from timeweb_sdk import AsyncTimeweb, Rate, RateLimit, Timeweb
from timeweb_sdk.errors import ConfigurationError
from timeweb_sdk.limits import RedisStore

if TYPE_CHECKING:
    from collections.abc import ItemsView

    from timeweb_sdk.client import ClientOptions

__all__ = ["AccountClients", "build_clients", "open_engine", "rate_limit", "tune_sqlite"]

Client = TypeVar("Client", bound=Timeweb | AsyncTimeweb)

_EXTRAS = {"postgresql": "postgres", "mysql": "mariadb", "mariadb": "mariadb"}

logger = logging.getLogger(__name__)


def rate_limit(settings: Settings, *, gentle: bool = True) -> RateLimit:
    """The pace of this installation, shared through `TIMEWEB_REDIS_URL` by all its processes when that is set.

    `gentle` is a pace for one account that Timeweb never punishes; False is for a handful of calls that a person waits
    for. Neither goes beyond what all accounts may do together, `TIMEWEB_ADDRESS_RATE`.
    """
    url = settings.timeweb_redis_url
    store = RedisStore(url.get_secret_value()) if url else None
    pace = RateLimit.gentle(store=store) if gentle else RateLimit.documented(store=store)
    return pace.with_address(address_rate(settings))


def address_rate(settings: Settings) -> Rate:
    """What all accounts keep together: `TIMEWEB_ADDRESS_RATE` a second, one and a half seconds' worth at once, at least 3."""
    burst = max(3, round(settings.timeweb_address_rate * 1.5))
    return Rate(burst, burst / settings.timeweb_address_rate)


def client_options(settings: Settings, *, account: str | None = None, pace: RateLimit | None = None) -> ClientOptions:
    """What every client of this installation is made with; it is read-only because the adapter changes nothing at Timeweb."""
    return {
        "base_url": settings.timeweb_base_url,
        "allow_http": settings.timeweb_allow_http,
        "account": account,
        "rate_limit": pace or rate_limit(settings),
        "read_only": True,
    }


def build_clients(settings: Settings, factory: type[Client], *, gentle: bool = True) -> dict[str, Client]:
    """Account -> client, read-only because the adapter changes nothing at Timeweb; the caller closes them."""
    pace = rate_limit(settings, gentle=gentle)
    return {
        name: factory(token, **client_options(settings, account=name, pace=pace)) for name, token in settings.tokens.items()
    }


class AccountClients(Mapping[str, Client]):
    """A live mapping account -> client: whoever looks sees the tokens as they are configured now.

    All functions of the adapter take it as `timeweb`. A client is kept as long as its token stays the same; clients
    that were replaced may still be at work, so they are closed at the end only. Settings that became unusable are
    logged and the last good ones stay in force.
    """

    def __init__(self, factory: type[Client], settings: Callable[[], Settings] = load_settings) -> None:
        self._factory, self._load = factory, settings
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._settings: Settings | None = None
        self._clients: dict[str, Client] = {}
        self._keys: dict[str, tuple[Any, ...]] = {}
        self._retired: list[Client] = []

    def _current(self) -> dict[str, Client]:
        with self._lock:
            if self._pid != os.getpid():
                self._forget()  # connections do not survive a fork
            try:
                settings = self._load()
            except SettingsError as error:
                if self._settings is None:
                    raise
                logger.warning("the settings became unusable, the previous ones stay in force: %s", error)
                return self._clients
            self._settings = settings
            shared = (
                settings.timeweb_base_url,
                settings.timeweb_allow_http,
                settings.timeweb_redis_url,
                settings.timeweb_address_rate,
            )
            keys = {name: (token, *shared) for name, token in settings.tokens.items()}
            if keys != self._keys:
                fresh = build_clients(settings, self._factory)
                kept = {name: self._clients[name] for name in fresh if self._keys.get(name) == keys[name]}
                self._retired += [client for name, client in self._clients.items() if name not in kept]
                self._clients, self._keys = {**fresh, **kept}, keys
            return self._clients

    def __getitem__(self, account: str) -> Client:
        return self._current()[account]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def items(self) -> ItemsView[str, Client]:
        """All pairs at one moment."""
        return self._current().items()

    def __repr__(self) -> str:
        return f"<AccountClients {sorted(self._clients)}>"

    def drain(self) -> list[Client]:
        """Hand out every client that was ever made, for closing, and forget them."""
        with self._lock:
            clients = [*self._clients.values(), *self._retired]
            self._forget()
        return clients


def open_engine(settings: Settings) -> sa.Engine:
    """An engine for `HOSTING_DATABASE_URL`. Raises `ConfigurationError` that names the extra of a missing driver."""
    url, arguments = _connect_arguments(settings.database_url)
    try:
        engine = sa.create_engine(url, pool_pre_ping=True, connect_args=arguments)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(url.get_backend_name(), "crm")
        raise ConfigurationError(
            f"HOSTING_DATABASE_URL needs the extra [{extra}]: pip install 'timeweb-sdk[{extra}]'"
        ) from error
    if engine.dialect.name == "sqlite":
        keep_private(url)
        event.listen(engine, "connect", tune_sqlite)
    return engine


def open_async_engine(settings: Settings) -> AsyncEngine:
    """The same for code on an event loop."""
    url, arguments = _connect_arguments(settings.async_database_url)
    engine = create_async_engine(url, connect_args=arguments)
    if engine.dialect.name == "sqlite":
        keep_private(url)
        event.listen(engine.sync_engine, "connect", tune_sqlite)
    return engine


def _connect_arguments(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    """What psycopg takes as a number or None only, out of the address, where everything is text."""
    threshold = url.query.get(PREPARE_THRESHOLD)
    if threshold is None:
        return url, {}
    return url.difference_update_query([PREPARE_THRESHOLD]), {
        PREPARE_THRESHOLD: None if threshold == "none" else int(str(threshold))
    }


def keep_private(url: sa.URL) -> None:
    """Make the file of a new SQLite database readable by its owner only: it holds clients, prices and addresses.

    A file that is there already keeps the rights that somebody gave it. SQLite gives its journals the rights of the file.
    """
    path = url.database
    if path and path != ":memory:" and not path.startswith("file:") and not Path(path).exists() and Path(path).parent.is_dir():
        with suppress(OSError):  # what is wrong with the place is told by the connection
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def tune_sqlite(connection: Any, _record: object) -> None:
    """Let the page go on reading while a sync writes (a write-ahead log), and writers wait for each other."""
    connection.execute("PRAGMA busy_timeout = 15000")
    connection.execute("PRAGMA journal_mode = WAL")
