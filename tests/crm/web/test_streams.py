"""Replies of many rows: in pieces, beside the event loop, limited unless somebody asks for all."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from crm_adapter.servers.listing import read_chosen
from crm_adapter.web import api_crm, streams
from crm_adapter.web.export import to_csv
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
        seen.append((len(rows), threading.current_thread().name.startswith("asyncio")))
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
