"""Replies of many rows: in pieces, beside the event loop, limited unless somebody asks for all."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from jinja2 import Template
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session

from crm_adapter import aio
from crm_adapter.ledger import listing
from crm_adapter.ledger.clients import Clients
from crm_adapter.ledger.listing import Book
from crm_adapter.servers import totals
from crm_adapter.servers.listing import read_chosen
from crm_adapter.servers.months import Ledger
from crm_adapter.web import api_crm, api_services, api_timeweb, streams
from crm_adapter.web.candidates import Listing, Live, LiveServer
from crm_adapter.web.export import to_csv
from tests.crm.database import async_engine
from tests.crm.web.conftest import PREFIX, Open, Section


@pytest.mark.parametrize("path", ["export.csv?", "api/servers?limit=0&", "api/servers?limit=23&", "api/servers?"])
def test_a_reply_in_pieces_is_the_reply_in_one(
    synced: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    client, url = open_client(synced.app()), f"{PREFIX}/{path}sort=name&desc=1"
    whole = client.get(url)
    monkeypatch.setattr(streams, "PIECE", 5)
    seen: list[tuple[int, bool]] = []

    def note(original: Any, rows: Any, *rest: Any) -> Any:
        seen.append((len(rows), threading.current_thread().name.startswith("asyncio_")))
        return original(rows, *rest)

    monkeypatch.setattr(api_crm, "to_csv", partial(note, to_csv))
    pieces = client.get(url)
    assert (pieces.status_code, pieces.content) == (200, whole.content)
    assert {name: pieces.headers[name] for name in ("content-type", "cache-control")} == {
        name: whole.headers[name] for name in ("content-type", "cache-control")
    }
    assert "content-length" in whole.headers and "content-length" not in pieces.headers
    # Nothing is written on the event loop.
    assert seen == ([(5, True)] * 4 + [(3, True)] if "csv" in path else [])


@pytest.mark.parametrize(
    ("path", "owner", "work"),
    [
        ("/api/stats", totals, "sum_sides"),
        ("/api/stats", Ledger, "sums"),
        ("/api/stats?by=client", api_crm, "json_items"),
        ("/api/clients", api_services, "json_items"),
        ("/api/timeweb/servers", api_timeweb, "json_items"),
        ("/services-months.csv", api_services, "costs_csv"),
        ("/dynamics", Ledger, "sums"),
        ("/servers/1/row", totals, "sum_sides"),
        ("", totals, "sum_sides"),
        ("", Template, "render"),
        ("/services", totals, "sum_sides"),
        ("/services", Template, "render"),
        ("/clients", Template, "render"),
        ("/groups", Template, "render"),
        ("/payments", Template, "render"),
    ],
)
def test_what_grows_with_the_rows_is_done_beside_the_event_loop(
    synced: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch, path: str, owner: Any, work: str
) -> None:
    client, seen = open_client(synced.app()), note_threads(monkeypatch, owner, work)
    assert client.get(f"{PREFIX}{path}", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert seen and all(name.startswith("asyncio_") for name in seen)


@pytest.mark.parametrize("path", ["/api/timeweb/servers", "/import", "/servers/1/link"])
def test_servers_of_timeweb_are_let_go_by_the_thread_that_shows_them(
    synced: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    compare, found = Listing.compare, list[tuple[int, list[LiveServer]]]()

    async def note(listing: Listing) -> Live:
        live = await compare(listing)
        found.append((len(live.servers), live.servers))
        return live

    monkeypatch.setattr(Listing, "compare", note)
    client = open_client(synced.app())
    assert client.get(f"{PREFIX}{path}", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert found == [(23, [])]


@pytest.mark.parametrize(("name", "owner", "work"), [("totals", totals, "sum_sides"), ("clients", Clients, "cards")])
async def test_so_are_the_functions_for_asyncio(
    synced: Section, monkeypatch: pytest.MonkeyPatch, name: str, owner: Any, work: str
) -> None:
    seen = note_threads(monkeypatch, owner, work)
    async with async_engine(synced.url) as engine:
        await getattr(aio, name)(async_sessionmaker(engine))
    assert seen and all(name.startswith("asyncio_") for name in seen)


async def test_the_event_loop_has_turns_while_many_rows_are_read(synced: Section, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    asked: list[Any] = []
    infos = Book.infos

    def note(book: Book, records: Any, *rest: Any) -> Any:
        pieces.append(len(records))
        return infos(book, records, *rest)

    def ask(state: ORMExecuteState) -> None:
        asked.append(state.execution_options.get("yield_per"))

    event.listen(Session, "do_orm_execute", ask)
    try:
        async with async_engine(synced.url) as engine:
            db = async_sessionmaker(engine)
            whole = await aio.services(db)
            monkeypatch.setattr(Book, "infos", note)
            monkeypatch.setattr(listing, "_PIECE", 4)
            assert await aio.services(db) == whole
            assert asked[-1] == 250
            assert len(await aio.changes(db)) > 0
            assert asked[-1] == 250
    finally:
        event.remove(Session, "do_orm_execute", ask)
    assert len(pieces) > 1 and sum(pieces) == whole.total and max(pieces) <= 4


def note_threads(monkeypatch: pytest.MonkeyPatch, owner: Any, work: str) -> list[str]:
    """The names of the threads in which something is done from now on."""
    original, seen = getattr(owner, work), list[str]()

    def note(*args: Any, **kwargs: Any) -> Any:
        seen.append(threading.current_thread().name)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, work, note)
    return seen


def test_a_list_that_nobody_limits_has_a_thousand_rows(synced: Section, open_client: Open) -> None:
    synced.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO hosting_servers "
        "(server_name, client_name, cost_price, client_price, start_date, next_payment_date, payment_period, status) "
        "SELECT 'typed-' || i, 'Иванов', 1, 2, '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'monthly', 'active' FROM n"
    )
    client = open_client(synced.app())
    sizes = {
        query: client.get(f"{PREFIX}/api/servers?{query}").json() for query in ("", "page=2", "limit=0", "limit=0&q=nothing")
    }
    told = [(len(body["servers"]), body["total"], body["page"], body["pages"]) for body in sizes.values()]
    assert told == [(1000, 1023, 1, 2), (23, 1023, 2, 2), (1023, 1023, 1, 1), (0, 0, 1, 1)]
    assert not {row["id"] for row in sizes[""]["servers"]} & {row["id"] for row in sizes["page=2"]["servers"]}


def test_a_database_that_is_lost_in_the_middle_of_a_reply_leaves_its_end_out(
    synced: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client, read = open_client(synced.app()), read_chosen
    monkeypatch.setattr(streams, "PIECE", 20)
    assert client.get(f"{PREFIX}/api/servers").status_code == 200

    def lose(session: Any, columns: Any, ids: Any) -> Any:
        if len(ids) < 20:
            raise OperationalError("SELECT", {"token": "secret"}, Exception("gone"))
        return read(session, columns, ids)

    monkeypatch.setattr(api_crm, "read_chosen", lose)
    with pytest.raises(RuntimeError, match="in the middle"):
        client.get(f"{PREFIX}/api/servers")
    assert "the database failed: Exception" in caplog.text and "secret" not in caplog.text
    # As long as nothing is sent, the status tells.
    assert client.get(f"{PREFIX}/api/servers?limit=3").status_code == 503
