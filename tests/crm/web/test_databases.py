"""The section's own queries on the databases that are not SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from crm_adapter.web import create_hosting_router
from tests.crm.web.conftest import PREFIX, Open, Section, filled_database
from tests.crm.web.worker import require_admin


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> Iterator[sa.URL]:
    """A database of its own, migrated and filled."""
    server = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url")
    with filled_database(server) as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE hosting_servers SET client_name = 'ООО «Ёлка»', client_price = 3000 WHERE id = 17"
            )
            connection.exec_driver_sql("UPDATE hosting_servers SET next_payment_date = '2020-01-31 00:00:00' WHERE id = 17")
            connection.exec_driver_sql("UPDATE hosting_servers SET cost_price = 0 WHERE id = 3")
            connection.exec_driver_sql("UPDATE timeweb_server_state SET cost_source = 'unknown' WHERE server_id = 3")
        engine.dispose()
        yield url


def test_lists_filters_sorts_edits_and_charts(url: sa.URL, section: Section, open_client: Open) -> None:
    engine = create_async_engine(
        url.set(drivername={"postgresql": "postgresql+psycopg"}.get(url.get_backend_name(), "mariadb+asyncmy"))
    )
    app = FastAPI()
    guard = [Depends(require_admin)]
    router = create_hosting_router(async_sessionmaker(engine, expire_on_commit=False), section.client(), dependencies=guard)
    app.include_router(router)
    client = open_client(app)
    page = client.get(PREFIX)
    assert page.status_code == 200
    assert "gitlab" in page.text

    def names(query: str) -> list[str]:
        return [row["server_name"] for row in client.get(f"{PREFIX}/api/servers?{query}").json()["servers"]]

    assert names("q=ёлка") == names("q=ёЛк") == names("q=4100113") == names("view=overdue") == ["gitlab"]
    assert names("q=100%25") == []
    assert len(names("view=unpriced")) == 22
    for sort in ("attention", "name", "status", "configuration", "ip", "client", "project", "cost", "price", "margin", "date"):
        for direction in ("0", "1"):
            assert len(names(f"sort={sort}&desc={direction}")) == 23
    assert names("sort=margin&desc=1")[0] == "gitlab"
    assert names("sort=cost")[-1] == names("sort=cost&desc=1")[-1] == "pekarnya-ulitka"
    body = client.post(f"{PREFIX}/servers/17/paid", data={"expected_date": "2020-01-31"}, follow_redirects=False)
    assert body.status_code == 303
    row = client.get(f"{PREFIX}/api/server/17").json()["server"]
    assert row["next_payment_date"].startswith("2020-02-29")
    assert client.post(f"{PREFIX}/api/timeweb/sync-all").json()["success"] is True
    assert client.get(f"{PREFIX}/dynamics").status_code == 200
    assert client.get(f"{PREFIX}/servers/17/history").status_code == 200
    assert len(client.get(f"{PREFIX}/export.csv").text.splitlines()) == 24
    client.portal.call(engine.dispose)  # type: ignore[union-attr]
