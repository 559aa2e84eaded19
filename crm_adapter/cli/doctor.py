"""`timeweb-crm doctor`: what is in order and what is not, in words and as data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from rich.text import Text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import sessionmaker

from crm_adapter import blocking, migrations
from crm_adapter.cli.output import CommandError
from crm_adapter.cli.runtime import engine_of, missing_schema
from crm_adapter.db.dialects import is_read_only
from crm_adapter.db.tables import AccountState, EventOutbox, SyncLease
from crm_adapter.text import doctor as words, labels
from crm_adapter.text.command import HOW_TO_SET_TOKEN, MIGRATE, READ_ONLY, READ_ONLY_HINT, SYNC
from crm_adapter.text.formats import ago, instant
from crm_adapter.text.messages import NOT_CONFIGURED, foreign_host
from crm_adapter.wiring import build_clients
from timeweb_sdk import Timeweb
from timeweb_sdk.errors import ForbiddenError, TimewebError, UnauthorizedError

if TYPE_CHECKING:
    from crm_adapter.settings import Settings

_CLOCK_TOLERANCE = 30
"""Clocks further apart than this make leases and "today" unreliable, in seconds."""

State = Literal["good", "warn", "bad", "off"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `off` means that the thing is not used here."""

    name: str
    subject: str
    state: State
    message: str
    hint: str = ""


def examine(settings: Settings) -> list[Check]:
    """Look at everything; one broken thing hides no other."""
    return [*_timeweb(settings), *_database(settings), *_redis(settings)]


def document(checks: list[Check]) -> dict[str, Any]:
    """The findings as JSON types."""
    return {"success": all(check.state != "bad" for check in checks), "checks": [asdict(check) for check in checks]}


def lines(checks: list[Check]) -> list[Text]:
    """The findings as coloured lines."""
    marks = {"good": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red"), "off": ("–", "bright_black")}
    found: list[Text] = []
    for check in checks:
        mark, colour = marks[check.state]
        found.append(Text.assemble((f"{mark} ", colour), (f"{check.subject}: ", "bold"), check.message))
        if check.hint and check.state in {"warn", "bad"}:
            found += [Text(f"    {line.strip()}") for line in check.hint.splitlines()]
    return found


def _timeweb(settings: Settings) -> Iterator[Check]:
    if not settings.is_configured:
        yield Check("token", words.TOKEN, "bad", NOT_CONFIGURED, HOW_TO_SET_TOKEN)
        return
    if (host := settings.foreign_host) is not None:
        yield Check("address", words.ADDRESS, "warn", foreign_host(host), words.ADDRESS_HINT)
    for name, client in build_clients(settings, Timeweb, gentle=False).items():
        with client:
            yield from _account(name, client)


def _account(name: str, client: Timeweb) -> Iterator[Check]:
    subject = words.token_of(name)
    started = time.time()
    try:
        reply = client.servers.with_response.list(limit=1)
    except UnauthorizedError:
        yield Check("token", subject, "bad", labels.failure("unauthorized"), words.NEW_TOKEN)
        return
    except ForbiddenError:
        yield Check("token", subject, "bad", labels.failure("forbidden"), words.GRANT_SERVERS)
        return
    except TimewebError as error:
        yield Check("token", subject, "bad", words.silent(error), words.CHECK_NETWORK)
        return
    total = reply.data.total
    yield Check("token", subject, "good", words.works(total))
    yield _right(words.costs_of(name), client.account.services.cost.list, words.WITHOUT_COSTS)
    yield _right(words.finances_of(name), client.account.finances.get, words.WITHOUT_FINANCES)
    yield _clock(reply.headers.get("date"), (started + time.time()) / 2)


def _right(subject: str, call: Callable[[], Any], hint: str) -> Check:
    try:
        result = call()
        _ = getattr(result, "items", None)
    except TimewebError as error:
        return Check("rights", subject, "warn", words.denied(error), hint)
    return Check("rights", subject, "good", words.GRANTED)


def _clock(header: str | None, here: float) -> Check:
    if not header:
        return Check("clock", words.CLOCK, "off", words.CLOCK_UNKNOWN)
    offset = here - parsedate_to_datetime(header).timestamp()
    if abs(offset) <= _CLOCK_TOLERANCE:
        return Check("clock", words.CLOCK, "good", words.CLOCK_RIGHT)
    return Check("clock", words.CLOCK, "warn", words.clock_off(round(abs(offset))), words.SET_CLOCK)


def _database(settings: Settings) -> Iterator[Check]:
    try:
        engine = engine_of(settings)
    except CommandError as error:
        yield Check("database", words.DATABASE, "bad", error.message)
        return
    shown = settings.shown_database_url
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(1))
        yield Check("database", words.DATABASE, "good", shown)
        yield from _schema(engine, settings)
        yield from _writing(engine)
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        yield Check("database", words.DATABASE, "bad", f"{shown}: {reason}", words.CHECK_DATABASE)
    finally:
        engine.dispose()


def _writing(engine: sa.Engine) -> Iterator[Check]:
    """A write that changes no row, rolled back: a replica answers every question and refuses this."""
    if missing_schema(engine):
        return
    with engine.connect() as connection, connection.begin() as transaction:
        try:
            connection.execute(sa.update(SyncLease).where(sa.false()).values(progress=0))
        except DBAPIError as error:
            if not is_read_only(error):
                raise
            yield Check("writing", words.WRITING, "bad", READ_ONLY, READ_ONLY_HINT)
        else:
            yield Check("writing", words.WRITING, "good", words.WRITABLE)
        finally:
            transaction.rollback()


def _schema(engine: sa.Engine, settings: Settings) -> Iterator[Check]:
    if missing := missing_schema(engine):
        yield Check("migrations", words.MIGRATIONS, "bad", words.lacks(missing), MIGRATE)
        return
    revision, head = migrations.current_revision(engine), migrations.head_revision()
    if revision is None:
        yield Check("migrations", words.MIGRATIONS, "good", words.OF_THE_HOST)
    elif revision == head:
        yield Check("migrations", words.MIGRATIONS, "good", words.newest(revision))
    else:
        yield Check("migrations", words.MIGRATIONS, "bad", words.outdated(revision, head), MIGRATE)
    with engine.connect() as connection:
        yield _lease(connection)
        yield from _accounts(connection, settings)
        yield _outbox(connection)
    yield _last_run(engine, settings)


def _lease(connection: sa.Connection) -> Check:
    lease = SyncLease.__table__.c
    held = connection.execute(sa.select(lease.account, lease.run_id).where(lease.owner.is_not(None))).all()
    if not held:
        return Check("lease", words.LEASE, "good", words.LEASE_FREE)
    return Check("lease", words.LEASE, "good", words.busy((account, run_id) for account, run_id in held))


def _accounts(connection: sa.Connection, settings: Settings) -> Iterator[Check]:
    state = AccountState.__table__.c
    query = sa.select(state.account, state.last_status, state.error_code, state.last_success_at, state.retry_at).order_by(
        state.account
    )
    for account, status, error_code, success_at, retry_at in connection.execute(query):
        retry = instant(retry_at, settings.zone) if retry_at else ""
        told = words.data_of(ago(success_at, datetime.now(UTC)), labels.failure(error_code), retry)
        bad: State = "bad" if status == "failed" else "warn"
        yield Check("account", words.account(account), bad if error_code else "good", told)


def _outbox(connection: sa.Connection) -> Check:
    outbox = EventOutbox.__table__.c
    waiting = connection.scalar(sa.select(sa.func.count()).where(outbox.sent_at.is_(None), outbox.dead_at.is_(None))) or 0
    dead = connection.scalar(sa.select(sa.func.count()).where(outbox.dead_at.is_not(None))) or 0
    return Check("outbox", words.OUTBOX, "warn" if dead else "good", words.waiting(waiting, dead), words.CHECK_SINKS)


def _last_run(engine: sa.Engine, settings: Settings) -> Check:
    latest = blocking.runs(sessionmaker(engine), limit=1)
    if not latest:
        return Check("runs", words.LAST_RUN, "warn", words.NO_RUNS, SYNC)
    run = latest[0]
    told = f"№ {run.run_id}, {instant(run.started_at, settings.zone)}: {labels.RUN_STATUSES.get(run.status, run.status)}"
    reason = labels.failure(run.error_code)
    state: State = "good" if run.status in {"success", "running", "skipped"} else "warn"
    return Check("runs", words.LAST_RUN, state, f"{told}; {reason}" if reason else told)


def _redis(settings: Settings) -> Iterator[Check]:
    if settings.timeweb_redis_url is None:
        several = len(settings.tokens) > 1
        hint = words.SEVERAL_ACCOUNTS if several else ""
        yield Check("redis", "Redis", "warn" if several else "off", words.NO_REDIS, hint)
        return
    try:
        import redis
    except ModuleNotFoundError:
        yield Check("redis", "Redis", "bad", words.NO_EXTRA, "pip install 'timeweb-sdk[redis]'")
        return
    try:
        client: Any = redis.Redis  # its keyword arguments are untyped
        with client.from_url(
            settings.timeweb_redis_url.get_secret_value(), socket_timeout=3, socket_connect_timeout=3
        ) as store:
            store.ping()
    except redis.RedisError as error:
        yield Check("redis", "Redis", "warn", words.redis_silent(type(error).__name__))
    else:
        yield Check("redis", "Redis", "good", words.ANSWERS)
