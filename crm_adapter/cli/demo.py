"""`timeweb-crm demo`: the whole way from an account to rows, on a made-up account and without the internet."""

from __future__ import annotations

import secrets
import shlex
import shutil
import sys
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crm_adapter import blocking, migrations
from crm_adapter.cli import tables
from crm_adapter.cli.output import DONE, FAILED, CommandError, Output
from crm_adapter.cli.runtime import database, engine_of
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.rows import read_rows
from crm_adapter.db.tables import HostingServer
from crm_adapter.money import local_today
from crm_adapter.servers.conditions import has_client
from crm_adapter.servers.listing import Filters, list_rows
from crm_adapter.servers.totals import read_totals
from crm_adapter.settings import Settings, load_settings
from crm_adapter.text import command as words

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import date

    from rich.console import RenderableType
    from sqlalchemy.orm import Session, sessionmaker

    from crm_adapter.db.rows import StoredRow


_AT_A_LOSS: Final = 4


@contextmanager
def account(path: str) -> Generator[Settings]:
    """An emulated account of 23 servers on a loopback socket, with settings that lead to it and to the file `path`."""
    from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

    if "://" in path:
        # An address may hold a password: only its beginning is told.
        raise CommandError(
            "configuration",
            words.demo_needs_a_file(path.partition("://")[0]),
            hint=words.DEMO_FILE_HINT,
        )
    token, state = secrets.token_urlsafe(16), demo_state()
    for domain in state["domains"]:
        domain["monthly_cost"] = 20
    with EmulatorServer(Emulator(state, token=token)) as server:
        # Whatever the environment says, the demonstration touches no real account and no other database.
        yield load_settings(
            {
                "timeweb_api_token": token,
                "timeweb_api_tokens": {},
                "timeweb_base_url": server.url,
                "timeweb_redis_url": None,
                "hosting_database_url": f"sqlite:///{path}",
            },
            env_file=None,
        )


def run(path: str, output: Output) -> int:
    """Migrate, import, synchronise once more, show the result."""
    from timeweb_sdk import RateLimit, Timeweb

    with account(path) as settings:
        _migrate(settings)
        token = settings.tokens["default"].get_secret_value()
        client = Timeweb(token, base_url=settings.timeweb_base_url, rate_limit=RateLimit.documented(), read_only=True)
        with client, database(settings) as db, output.progress(words.DEMONSTRATING) as progress:
            first = blocking.sync_all(db, client, only_auto=False, actor="demo", on_progress=progress)
            furnish(db, local_today(settings.hosting_tz))
            second = blocking.sync_all(db, client, only_auto=False, actor="demo", on_progress=progress)
            with db() as session:
                filters = Filters(sort="name", size=0)
                today = local_today(settings.hosting_tz)
                rows = list_rows(session, validate_mapping(HostingServer), filters, today=today).rows
                sums = read_totals(session, validate_mapping(HostingServer), today)
    ok = all(report.status == "success" and not report.error_count for report in (first, second))
    document: dict[str, Any] = {
        "success": ok,
        "database": str(Path(path).resolve()),
        "first_run": first.to_dict(),
        "second_run": second.to_dict(),
        "servers": [row.to_dict() for row in rows],
        "open_page": _open_page(path),
    }
    reports = (tables.report_lines(document[name]) for name in ("first_run", "second_run"))
    output.result(document, *_words(path, rows, tables.totals_line(sums), *reports))
    return DONE if ok else FAILED


def prepare(settings: Settings) -> None:
    """The first minute of `serve --demo`: servers, clients and prices are there when the page opens."""
    from timeweb_sdk import RateLimit, Timeweb

    _migrate(settings)
    token = settings.tokens["default"].get_secret_value()
    client = Timeweb(token, base_url=settings.timeweb_base_url, rate_limit=RateLimit.documented(), read_only=True)
    with client, database(settings) as db:
        blocking.sync_all(db, client, only_auto=False, actor="demo")
        furnish(db, local_today(settings.hosting_tz))


def _migrate(settings: Settings) -> None:
    engine = engine_of(settings)
    try:
        migrations.upgrade(engine)
    finally:
        engine.dispose()


def furnish(db: sessionmaker[Session], today: date) -> None:
    """Give fifteen servers a client, a price and a date, unless somebody did: one late, one at a loss, one due this week."""
    with db() as session:
        rows = read_rows(session, validate_mapping(HostingServer))
    if any(has_client(row) for row in rows):
        return
    costing = [row for row in rows if row.cost_price]
    for place, (row, (client, company, days)) in enumerate(zip(costing, words.CLIENTS, strict=False)):
        share = Decimal("0.8") if place == _AT_A_LOSS else Decimal("2.6")
        values = {
            "client_name": client,
            "client_company": company,
            "client_price": int((row.cost_price or 0) * share / 50) * 50,
            "next_payment_date": today + timedelta(days=days),
        }
        blocking.update_manual(db, row.id, values, actor="demo")
    _give_away(db, costing)


def _give_away(db: sessionmaker[Session], rows: Sequence[StoredRow]) -> None:
    """Give some services to servers and clients; the disk and all the rest stay nobody's, for a person to try."""
    (first, *_), (second, *_) = words.CLIENTS[:2]
    owners: dict[str, dict[str, Any]] = {
        "database": {"server_id": rows[0].id},
        "balancer": {"client": first},
        "s3": {"client": second},
        "domain": {"client": second},
    }
    for kind, owner in owners.items():
        ids = [service.id for service in blocking.services(db, kind=kind).services]
        blocking.attribute_services(db, ids, actor="demo", **owner)


def _words(path: str, rows: Sequence[StoredRow], totals: str, first: list[str], second: list[str]) -> list[RenderableType]:
    return [
        words.demo_database(path),
        "",
        words.FIRST,
        *(f"   {line}" for line in first),
        words.SECOND,
        *(f"   {line}" for line in second),
        "",
        tables.servers_table(rows),
        totals,
        words.made_up(len(rows)),
        "",
        words.OPEN_PAGE,
        f"    {_open_page(path)}",
        "",
        words.YOUR_ACCOUNT,
        *words.HOW_TO_SET_TOKEN.splitlines(),
        words.then(program()),
    ]


def _open_page(path: str) -> str:
    return f"{program()} serve --demo --database {shlex.quote(path)}"


def program() -> str:
    """How this command is typed here: by name when the shell finds it, else by path."""
    if shutil.which("timeweb-crm"):
        return "timeweb-crm"
    return shlex.quote(str(Path(sys.executable).parent / "timeweb-crm"))
