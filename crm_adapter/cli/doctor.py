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
from crm_adapter.cli.runtime import HOW_TO_SET_TOKEN, READ_ONLY_HINT, READ_ONLY_TEXT, engine_of, missing_schema
from crm_adapter.db.dialects import is_read_only
from crm_adapter.db.tables import AccountState, EventOutbox, SyncLease
from crm_adapter.text import labels
from crm_adapter.text.formats import ago, count, instant
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
        yield Check("token", "Токен", "bad", NOT_CONFIGURED, HOW_TO_SET_TOKEN)
        return
    if (host := settings.foreign_host) is not None:
        yield Check(
            "address", "Адрес API", "warn", foreign_host(host), "Так и задумано для эмулятора; иначе уберите TIMEWEB_BASE_URL"
        )
    for name, client in build_clients(settings, Timeweb, gentle=False).items():
        with client:
            yield from _account(name, client)


def _account(name: str, client: Timeweb) -> Iterator[Check]:
    subject = f"Токен «{name}»"
    started = time.time()
    try:
        reply = client.servers.with_response.list(limit=1)
    except UnauthorizedError:
        hint = "Создайте новый токен в панели Timeweb Cloud и замените прежний"
        yield Check("token", subject, "bad", labels.failure("unauthorized"), hint)
        return
    except ForbiddenError:
        yield Check("token", subject, "bad", labels.failure("forbidden"), "Дайте токену доступ к облачным серверам")
        return
    except TimewebError as error:
        yield Check("token", subject, "bad", f"Timeweb не отвечает: {error}", "Проверьте сеть и TIMEWEB_BASE_URL")
        return
    total = reply.data.total
    yield Check(
        "token", subject, "good", f"действует, в аккаунте {count(total, 'server')}" if total is not None else "действует"
    )
    yield _right(
        f"Права «{name}»: стоимость услуг", client.account.services.cost.list, "Без неё себестоимость берётся по тарифу"
    )
    yield _right(f"Права «{name}»: финансы", client.account.finances.get, "Без них не видны баланс и скидка")
    yield _clock(reply.headers.get("date"), (started + time.time()) / 2)


def _right(subject: str, call: Callable[[], Any], hint: str) -> Check:
    try:
        result = call()
        _ = getattr(result, "items", None)
    except TimewebError as error:
        return Check("rights", subject, "warn", f"недоступно: {error}", hint)
    return Check("rights", subject, "good", "есть")


def _clock(header: str | None, here: float) -> Check:
    if not header:
        return Check("clock", "Часы", "off", "Timeweb не сообщил время")
    offset = here - parsedate_to_datetime(header).timestamp()
    if abs(offset) <= _CLOCK_TOLERANCE:
        return Check("clock", "Часы", "good", "идут верно")
    words = f"расходятся с часами Timeweb на {count(round(abs(offset)), 'second')}"
    return Check("clock", "Часы", "warn", words, "Включите синхронизацию времени (NTP)")


def _database(settings: Settings) -> Iterator[Check]:
    try:
        engine = engine_of(settings)
    except CommandError as error:
        yield Check("database", "База данных", "bad", error.message)
        return
    shown = settings.shown_database_url
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(1))
        yield Check("database", "База данных", "good", shown)
        yield from _schema(engine, settings)
        yield from _writing(engine)
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        yield Check("database", "База данных", "bad", f"{shown}: {reason}", "Проверьте HOSTING_DATABASE_URL и доступ к серверу")
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
            yield Check("writing", "Запись", "bad", READ_ONLY_TEXT, READ_ONLY_HINT)
        else:
            yield Check("writing", "Запись", "good", "возможна")
        finally:
            transaction.rollback()


def _schema(engine: sa.Engine, settings: Settings) -> Iterator[Check]:
    hint = "Выполните: timeweb-crm migrate"
    if missing := missing_schema(engine):
        yield Check("migrations", "Миграции", "bad", f"нет {missing}", hint)
        return
    revision, head = migrations.current_revision(engine), migrations.head_revision()
    if revision is None:
        yield Check("migrations", "Миграции", "good", "таблицы на месте, историю ведёт CRM")
    elif revision == head:
        yield Check("migrations", "Миграции", "good", f"версия {revision}, последняя")
    else:
        yield Check("migrations", "Миграции", "bad", f"версия {revision}, нужна {head}", hint)
    with engine.connect() as connection:
        yield _lease(connection)
        yield from _accounts(connection, settings)
        yield _outbox(connection)
    yield _last_run(engine, settings)


def _lease(connection: sa.Connection) -> Check:
    lease = SyncLease.__table__.c
    held = connection.execute(sa.select(lease.account, lease.run_id).where(lease.owner.is_not(None))).all()
    if not held:
        return Check("lease", "Блокировка", "good", "свободна")
    names = ", ".join(f"«{account}» (запуск {run_id or '—'})" for account, run_id in held)
    return Check("lease", "Блокировка", "good", f"идёт синхронизация: {names}")


def _accounts(connection: sa.Connection, settings: Settings) -> Iterator[Check]:
    state = AccountState.__table__.c
    query = sa.select(state.account, state.last_status, state.error_code, state.last_success_at, state.retry_at).order_by(
        state.account
    )
    for account, status, error_code, success_at, retry_at in connection.execute(query):
        words = f"последние данные: {ago(success_at, datetime.now(UTC))}"
        if error_code:
            words += f"; {labels.failure(error_code)}"
        if retry_at:
            words += f"; следующая попытка после {instant(retry_at, settings.zone)}"
        bad: State = "bad" if status == "failed" else "warn"
        yield Check("account", f"Аккаунт «{account}»", bad if error_code else "good", words)


def _outbox(connection: sa.Connection) -> Check:
    outbox = EventOutbox.__table__.c
    waiting = connection.scalar(sa.select(sa.func.count()).where(outbox.sent_at.is_(None), outbox.dead_at.is_(None))) or 0
    dead = connection.scalar(sa.select(sa.func.count()).where(outbox.dead_at.is_not(None))) or 0
    words = f"ждут отправки: {waiting}, не доставлены: {dead}"
    return Check("outbox", "Уведомления", "warn" if dead else "good", words, "Проверьте HOSTING_NOTIFY_URLS")


def _last_run(engine: sa.Engine, settings: Settings) -> Check:
    latest = blocking.runs(sessionmaker(engine), limit=1)
    if not latest:
        return Check("runs", "Последний запуск", "warn", "синхронизаций ещё не было", "Выполните: timeweb-crm sync")
    run = latest[0]
    words = f"№ {run.run_id}, {instant(run.started_at, settings.zone)}: {labels.RUN_STATUSES.get(run.status, run.status)}"
    reason = labels.failure(run.error_code)
    state: State = "good" if run.status in {"success", "running", "skipped"} else "warn"
    return Check("runs", "Последний запуск", state, f"{words}; {reason}" if reason else words)


def _redis(settings: Settings) -> Iterator[Check]:
    if settings.timeweb_redis_url is None:
        several = len(settings.tokens) > 1
        words = "не используется: лимит запросов у каждого процесса свой"
        hint = (
            "Аккаунтов несколько, а блокируют адрес: если процессов больше одного, задайте TIMEWEB_REDIS_URL, "
            "и все они будут держать один темп (TIMEWEB_ADDRESS_RATE)"
        )
        yield Check("redis", "Redis", "warn" if several else "off", words, hint if several else "")
        return
    try:
        import redis
    except ModuleNotFoundError:
        yield Check("redis", "Redis", "bad", "нет набора [redis]", "pip install 'timeweb-sdk[redis]'")
        return
    try:
        client: Any = redis.Redis  # its keyword arguments are untyped
        with client.from_url(
            settings.timeweb_redis_url.get_secret_value(), socket_timeout=3, socket_connect_timeout=3
        ) as store:
            store.ping()
    except redis.RedisError as error:
        yield Check("redis", "Redis", "warn", f"не отвечает ({type(error).__name__}): лимит запросов у каждого процесса свой")
    else:
        yield Check("redis", "Redis", "good", "отвечает")
