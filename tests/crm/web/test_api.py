"""The endpoints: reply keys, errors, who may call, what a write changes."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import sessionmaker

from crm_adapter.web import create_hosting_router
from tests.crm.web.conftest import PREFIX, TOKEN, Open, Section
from tests.crm.web.worker import require_admin
from timeweb_sdk import RateLimit, Timeweb
from timeweb_sdk.errors import ConfigurationError

API = f"{PREFIX}/api"


def get(client: TestClient, path: str, status: int = 200) -> dict[str, Any]:
    reply = client.get(path)
    assert reply.status_code == status, reply.text
    body: dict[str, Any] = reply.json()
    return body


def post(client: TestClient, path: str, body: Any = None, status: int = 200, method: str = "POST") -> dict[str, Any]:
    reply = client.request(method, path, json=body)
    assert reply.status_code == status, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_status_says_whether_a_token_is_set(section: Section, open_client: Open) -> None:
    configured = get(open_client(section.app()), f"{API}/timeweb/status")
    assert configured == {"success": True, "configured": True, "message": "Timeweb API token configured"}
    missing = get(open_client(section.app(timeweb=False)), f"{API}/timeweb/status")
    assert missing == {"success": True, "configured": False, "message": "Timeweb API token не настроен"}


def test_the_live_listing_tells_what_is_imported(synced: Section, open_client: Open) -> None:
    synced.execute("DELETE FROM hosting_servers WHERE server_name = 'gitlab'")
    body = get(open_client(synced.app()), f"{API}/timeweb/servers")
    assert {"success", "servers", "total", "imported_count"} <= body.keys()
    assert (body["total"], body["imported_count"]) == (23, 22)
    keys = {"timeweb_id", "name", "status", "configuration", "ip_address", "preset_id", "is_imported"}
    assert all(keys <= server.keys() for server in body["servers"])
    gitlab = next(server for server in body["servers"] if server["name"] == "gitlab")
    assert (gitlab["is_imported"], gitlab["configuration"]) == (False, "4 CPU / 8GB RAM / 80GB NVMe / Ubuntu 24.04")


def test_import_creates_rows_and_names_each_refusal(section: Section, open_client: Open) -> None:
    client = open_client(section.app())
    body = post(client, f"{API}/timeweb/import", {"server_ids": [4100001, 4100008]})
    assert (body["success"], body["imported_count"], body["error_count"]) == (True, 2, 0)
    assert all({"server_id", "crm_id", "name"} <= item.keys() for item in body["imported"])
    body = post(client, f"{API}/timeweb/import", {"server_ids": [4100001, 5]})
    assert (body["success"], body["imported_count"], body["error_count"]) == (False, 0, 2)
    errors = {error["server_id"]: error for error in body["errors"]}
    assert (errors[4100001]["code"], errors[4100001]["error"]) == ("already_imported", "Сервер уже импортирован")
    assert errors[5]["code"] == "not_found"


def test_sync_all_gives_the_keys_that_the_front_end_reads(section: Section, open_client: Open) -> None:
    client = open_client(section.app())
    body = post(client, f"{API}/timeweb/sync-all")
    keys = {
        "success", "message", "created", "updated", "errors", "created_count", "updated_count", "error_count",
        "total_processed",
    }  # fmt: skip
    assert keys <= body.keys()
    assert (body["success"], body["created_count"], body["total_processed"]) == (True, 23, 23)
    assert set(body["created"][0]) == {"timeweb_id", "crm_id", "name"}
    body = post(client, f"{API}/timeweb/sync-all")
    assert (body["success"], body["created_count"], body["updated_count"]) == (True, 0, 0)
    run = get(client, f"{API}/timeweb/runs/{body['run_id']}")
    assert (run["success"], run["status"], run["report"]["unchanged_count"]) == (True, "success", 23)
    assert get(client, f"{API}/timeweb/runs/999", 404)["code"] == "not_found"


def test_sync_all_takes_rows_without_auto_sync_too(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE hosting_servers SET auto_sync = 0, configuration = 'old'")
    assert post(open_client(synced.app()), f"{API}/timeweb/sync-all")["updated_count"] == 23


def test_a_second_sync_is_told_that_one_runs(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE timeweb_sync_lease SET owner = 'other', expires_ms = 99999999999999")
    body = post(open_client(synced.app()), f"{API}/timeweb/sync-all", status=409)
    assert (body["success"], body["code"], body["total_processed"]) == (False, "already_running", 0)


def test_a_slow_sync_replies_with_the_run_to_watch(
    section: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_adapter.web.context.SYNC_WAIT", 0.3)
    section.emulator.add_fault({"operation": "getServers", "times": 1, "delay_ms": 800})
    client = open_client(section.app())
    body = post(client, f"{API}/timeweb/sync-all")
    assert (body["success"], body["created_count"], body["total_processed"]) == (True, 0, 0)
    run = get(client, f"{API}/timeweb/runs/{body['run_id']}")
    assert run["status"] == "running"


def test_an_outage_is_502_on_a_live_listing_and_data_in_a_sync(synced: Section, open_client: Open) -> None:
    synced.emulator.add_fault({"operation": "getServers", "times": 99, "status": 502, "body": "<html>bad gateway</html>"})
    client = open_client(synced.app())
    assert get(client, f"{API}/timeweb/servers", 502)["code"] == "upstream_unavailable"
    body = post(client, f"{API}/timeweb/sync-all", status=502)
    assert (body["success"], body["error_code"]) == (False, "upstream_unavailable")
    assert synced.query("SELECT COUNT(*) FROM hosting_servers") == [(23,)]


def test_without_a_token_the_rows_stay_and_timeweb_is_503(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app(timeweb=False))
    assert get(client, f"{API}/servers")["total"] == 23
    row = synced.id_of("gitlab")
    for path in (f"{API}/timeweb/import", f"{API}/timeweb/sync-all", f"{API}/server/{row}/sync"):
        body = post(client, path, {"server_ids": [1]} if path.endswith("import") else None, 503)
        assert (body["success"], body["code"]) == (False, "not_configured")
    assert get(client, f"{API}/timeweb/servers", 503)["code"] == "not_configured"


def test_one_row_is_synchronised_even_without_auto_sync(synced: Section, open_client: Open) -> None:
    row = synced.id_of("gitlab")
    synced.execute("UPDATE hosting_servers SET auto_sync = 0, ip_address = '203.0.113.200' WHERE id = :id", id=row)
    client = open_client(synced.app())
    body = post(client, f"{API}/server/{row}/sync")
    assert {"success", "server", "message"} <= body.keys()
    assert body["server"]["ip_address"] != "203.0.113.200"
    created = post(client, f"{API}/server", {"server_name": "elsewhere"})["server"]["id"]
    assert post(client, f"{API}/server/{created}/sync", status=409)["code"] == "not_linked"
    assert post(client, f"{API}/server/9999/sync", status=404)["code"] == "not_found"


def test_rows_carry_their_sums_and_null_for_what_is_unknown(synced: Section, open_client: Open) -> None:
    row = synced.id_of("gitlab")
    client = open_client(synced.app())
    before = get(client, f"{API}/server/{row}")["server"]
    assert (before["client_price"], before["total_price"], before["profit_amount"]) == (0, None, None)
    edit = {"client_price": "9 000,00", "service_fee": 300, "payment_period": "quarterly", "client_name": "Анна"}
    server = post(client, f"{API}/server/{row}", edit, method="PATCH")["server"]
    assert (server["total_price"], server["cost_price"]) == (9300, 1516.5)
    assert server["profit_amount"] == pytest.approx(3100 - 1516.5)
    assert server["profit_percent"] == pytest.approx(51.1)
    assert "timeweb_data" not in server
    stats = get(client, f"{API}/stats")
    assert {"active_servers", "profit_month", "overdue_count", "overdue_sum"} <= stats.keys()
    assert (stats["profit_month"], stats["overdue_count"]) == (pytest.approx(1583.5), 0)
    synced.execute("UPDATE hosting_servers SET cost_price = 0 WHERE id = :id", id=row)
    assert get(client, f"{API}/server/{row}")["server"]["profit_amount"] == 3100  # the source says that it costs nothing
    synced.execute("UPDATE timeweb_server_state SET cost_source = 'unknown' WHERE server_id = :id", id=row)
    server = get(client, f"{API}/server/{row}")["server"]
    assert (server["cost_price"], server["profit_amount"]) == (None, None)
    assert get(client, f"{API}/stats")["profit_month"] is None


def test_humans_conflict_with_humans_and_never_with_a_sync(synced: Section, open_client: Open) -> None:
    row = synced.id_of("gitlab")
    client = open_client(synced.app())
    version = get(client, f"{API}/server/{row}")["server"]["edit_version"]
    synced.execute("UPDATE hosting_servers SET configuration = 'old'")
    synced.sync()
    post(client, f"{API}/server/{row}", {"notes": "first", "edit_version": version}, method="PATCH")
    body = post(client, f"{API}/server/{row}", {"notes": "second", "edit_version": version}, 409, "PATCH")
    assert (body["success"], body["code"]) == (False, "version_conflict")
    assert synced.query("SELECT notes FROM hosting_servers WHERE id = :id", id=row) == [("first",)]
    actors = synced.query("SELECT actor FROM timeweb_change_log WHERE field = 'notes'")
    assert actors == [("admin",)]


@pytest.mark.parametrize(
    "edit",
    [
        {"client_price": "много"}, {"client_price": -1}, {"next_payment_date": "31.02.2026"}, {"payment_period": "daily"},
        {"status": "gone"}, {"client_name": "x" * 256}, {"timeweb_id": 5}, {"timeweb_data": "{}"}, {"id": 1},
        {"project_id": "abc"}, {"server_name": "  "}, {"client_price": "1e400"},
    ],
)  # fmt: skip
def test_a_wrong_value_is_422_and_changes_nothing(standing: Section, reader: TestClient, edit: dict[str, Any]) -> None:
    row = standing.id_of("gitlab")
    before = standing.query("SELECT * FROM hosting_servers")
    body = post(reader, f"{API}/server/{row}", edit, 422, "PATCH")
    assert (body["success"], body["code"]) == (False, "validation")
    assert next(iter(edit)) in body["error"]
    assert standing.query("SELECT * FROM hosting_servers") == before


@pytest.mark.parametrize("row", ["0", "-1", "99999999999999999999", "x"])
def test_a_row_that_does_not_exist(reader: TestClient, row: str) -> None:
    reply = reader.get(f"{API}/server/{row}")
    assert reply.status_code == (422 if row == "x" else 404)
    assert reply.json()["success"] is False


def test_filters_search_and_sort(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())

    def names(query: str) -> list[str]:
        return [row["server_name"] for row in get(client, f"{API}/servers?{query}")["servers"]]

    synced.execute("UPDATE hosting_servers SET client_name = 'ООО «Ёлка»', client_price = 100 WHERE server_name = 'gitlab'")
    synced.execute("UPDATE hosting_servers SET next_payment_date = '2020-01-01 00:00:00.000000' WHERE server_name = 'gitlab'")
    assert names("q=ёлка") == names("q=ЁЛКА") == ["gitlab"]
    assert names("q=203.0.113.17") == ["gitlab"]
    assert names("q=100%25") == names("q=_") == []
    assert names("view=overdue") == ["gitlab"]
    assert "gitlab" not in names("view=unpriced")
    assert set(names("view=problems")) == {"okna-svet", "old-vps", "vpn-office", "yurist"}
    assert names("view=removed") == []
    costs = [row["cost_price"] for row in get(client, f"{API}/servers?sort=cost&desc=1")["servers"]]
    assert costs == sorted(costs, reverse=True)
    assert names("sort=margin")[0] == "gitlab"
    assert names("sort=no-such-column&view=nonsense&project=x") == names("")
    assert names("")[0] in {"okna-svet", "old-vps", "vpn-office", "yurist"}
    assert len(names("limit=5")) == 5


def test_the_csv_is_for_spreadsheets_and_executes_nothing(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE hosting_servers SET client_name = '=HYPERLINK(\"http://example.com\")' WHERE server_name = 'gitlab'")
    synced.execute(
        "UPDATE hosting_servers SET notes = ' +1;2' || char(10) || '@x', cost_price = 0 WHERE server_name = 'gitlab'"
    )
    synced.execute("UPDATE timeweb_server_state SET cost_source = 'unknown'")
    reply = open_client(synced.app()).get(f"{PREFIX}/export.csv?q=gitlab")
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.content.startswith("\ufeff".encode())
    header, row = csv.reader(io.StringIO(reply.content.decode("utf-8-sig")), delimiter=";")
    cells = dict(zip(header, row, strict=True))
    assert cells["Имя клиента"] == '\'=HYPERLINK("http://example.com")'
    assert cells["Заметки"] == " '+1;2\n'@x"
    assert cells["Себестоимость, ₽/мес"] == "—"
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4}", cells["Дата следующего платежа"])


def test_the_csv_shows_what_would_turn_text_around_as_the_page_does(synced: Section, open_client: Open) -> None:
    synced.execute(
        "UPDATE hosting_servers SET client_name = :name, notes = :notes WHERE server_name = 'gitlab'",
        name="\u202egnp.exe\u2066", notes="первая\r\nвторая",
    )  # fmt: skip
    reply = open_client(synced.app()).get(f"{PREFIX}/export.csv?q=gitlab")
    header, row = csv.reader(io.StringIO(reply.content.decode("utf-8-sig"), newline=""), delimiter=";")
    cells = dict(zip(header, row, strict=True))
    assert (cells["Имя клиента"], cells["Заметки"]) == ("\ufffdgnp.exe\ufffd", "первая\nвторая")


COLUMNS = {
    "id", "project_id", "client_id", "client_name", "client_company", "client_telegram_id", "server_name", "configuration",
    "ip_address", "cost_price", "client_price", "service_fee", "balance", "balance_last_updated", "start_date",
    "next_payment_date", "payment_period", "status", "timeweb_id", "timeweb_status", "timeweb_preset_id", "auto_sync",
    "last_sync_at", "notes", "created_at", "updated_at",
}  # fmt: skip
SUMS = {"total_price", "profit_amount", "profit_percent"}


def test_every_reply_of_a_row_has_the_columns_and_the_sums(synced: Section, open_client: Open) -> None:
    client, row = open_client(synced.app()), synced.id_of("gitlab")
    wanted = COLUMNS | SUMS
    rows = get(client, f"{API}/servers")["servers"]
    assert all(wanted <= found.keys() for found in rows)
    for reply in (
        get(client, f"{API}/server/{row}"),
        post(client, f"{API}/server/{row}", {"notes": "x"}, method="PATCH"),
        post(client, f"{API}/server", {"server_name": "by-hand"}),
        post(client, f"{API}/server/{row}/sync"),
    ):
        assert reply["success"] is True
        assert wanted <= reply["server"].keys()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("account=default", 23),
        ("account=other", 0),
        ("status=suspended", 4),
        ("status=closed", 0),
        ("project=7", 1),
        ("project=8", 0),
    ],
)
def test_lists_are_narrowed_by_status_project_and_account(reader: TestClient, query: str, count: int) -> None:
    assert get(reader, f"{API}/servers?{query}")["total"] == count
    exported = reader.get(f"{PREFIX}/export.csv?{query}").content.decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(exported), delimiter=";"))) == count + 1


# Who may call -----------------------------------------------------------------------------------------------------------


def walk(section: Section) -> tuple[FastAPI, list[tuple[str, str]]]:
    """An application and every method and path of the section in it."""
    with section.engine() as engine:
        router = create_hosting_router(sessionmaker(engine), None, dependencies=[Depends(require_admin)])
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(router.routes)
    return section.app(), sorted((method, route.path) for route in routes for method in route.methods or ())


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "1", path.replace("{name:path}", "hosting.css"))


def test_nobody_without_the_hosts_login_reaches_any_route(synced: Section, open_client: Open) -> None:
    app, routes = walk(synced)
    assert len(routes) > 25
    client = open_client(app, Authorization="")
    before = synced.query("SELECT * FROM hosting_servers")
    answers = {(method, path): client.request(method, filled(path)).status_code for method, path in routes}
    assert set(answers.values()) == {401}, answers
    assert synced.query("SELECT * FROM hosting_servers") == before


def test_no_unsafe_route_answers_another_site(synced: Section, open_client: Open) -> None:
    app, routes = walk(synced)
    client = open_client(app)
    unsafe = [(method, path) for method, path in routes if method not in {"GET", "HEAD"}]
    assert len(unsafe) > 8
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
    ):
        for method, path in unsafe:
            assert client.request(method, filled(path), headers=headers).status_code == 403, (method, path, headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "https://crm.example.com"}, 200),
        ({"Origin": "http://crm.example.com"}, 200),
        ({"Origin": "https://crm.example.com:8443"}, 403),
        ({"Origin": "https://desk.example.com"}, 200),
        ({"Origin": "https://desk.example.com", "Sec-Fetch-Site": "same-site"}, 200),
        ({"Origin": "https://desk.example.com.evil.example.com"}, 403),
    ],
)
def test_same_origin_is_judged_by_what_browsers_send(
    standing: Section, reader: TestClient, headers: dict[str, str], status: int
) -> None:
    edited = reader.patch(f"{API}/server/{standing.id_of('gitlab')}", json={"notes": None}, headers=headers)
    assert edited.status_code == status


def test_a_router_without_authentication_is_not_built(section: Section) -> None:
    build: Any = create_hosting_router
    with section.engine() as engine:
        guarded = [Depends(require_admin)]
        wrongs: list[dict[str, Any]] = [{"dependencies": []}, {"dependencies": guarded, "parts": ("everything",)}]
        for wrong in wrongs:
            with pytest.raises(ConfigurationError):
                build(sessionmaker(engine), None, **wrong)
        with pytest.raises(TypeError):
            build(sessionmaker(engine), None)


def test_a_client_of_the_wrong_kind_is_refused(section: Section) -> None:
    guard = [Depends(require_admin)]
    with pytest.raises(ConfigurationError, match="needs AsyncTimeweb"):
        create_hosting_router(async_sessionmaker(), {"shop": Timeweb(TOKEN)}, dependencies=guard)
    with section.engine() as engine, pytest.raises(ConfigurationError, match="needs Timeweb"):
        create_hosting_router(sessionmaker(engine), section.client(), dependencies=guard)


def test_the_timeweb_part_stands_alone_beside_the_hosts_own_router(section: Section, open_client: Open) -> None:
    client = open_client(section.app(parts=("timeweb",), prefix=""))
    assert get(client, "/api/timeweb/status")["configured"] is True
    assert client.get("/").status_code == 404
    assert client.get("/api/servers").status_code == 404


def test_synchronous_sessions_serve_the_same(synced: Section, open_client: Open) -> None:
    with synced.engine() as engine:
        app = FastAPI()
        timeweb = Timeweb(TOKEN, http_client=synced.emulator.http_client(), rate_limit=RateLimit.off())
        app.include_router(create_hosting_router(sessionmaker(engine), timeweb, dependencies=[Depends(require_admin)]))
        client = open_client(app)
        assert get(client, f"{API}/timeweb/servers")["imported_count"] == 23
        assert post(client, f"{API}/timeweb/sync-all")["success"] is True
        assert client.get(PREFIX).status_code == 200


def test_a_lost_database_is_503_in_our_form(section: Section, open_client: Open) -> None:
    client = open_client(section.app())
    section.execute("DROP TABLE hosting_servers")
    body = get(client, f"{API}/servers", 503)
    assert (body["success"], body["code"]) == (False, "database_unavailable")
    page = client.get(PREFIX)
    assert page.status_code == 503
    assert "База данных недоступна" in page.text


def test_no_secret_reaches_a_reply(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    secrets = [server[key] for server in synced.emulator.state["servers"] for key in ("root_pass", "vnc_pass")]
    assert len(secrets) == 46
    replies = "".join(
        client.get(path).text
        for path in (
            f"{API}/servers",
            f"{API}/timeweb/servers",
            PREFIX,
            f"{PREFIX}/import",
            f"{PREFIX}/export.csv",
            f"{API}/stats",
        )
    )
    assert not [secret for secret in [*secrets, TOKEN] if secret in replies]


def test_the_api_is_in_the_hosts_openapi_with_tags(section: Section) -> None:
    paths = section.app().openapi()["paths"]
    assert paths[f"{API}/timeweb/sync-all"]["post"]["tags"] == ["timeweb"]
    assert paths[f"{API}/servers"]["get"]["tags"] == ["hosting"]
    assert PREFIX not in paths
