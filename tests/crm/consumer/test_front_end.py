"""The CRM's own front end, replayed: each request in the order in which a person clicks, each key and type that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.crm.consumer.host import Host, own_router, payments_of
from timeweb_sdk.errors import ConfigurationError

API = "/admin/hosting/api"
NUMBER = (int, float)
TEXT = (str,)
OR_NONE = (type(None),)
ROW: dict[str, tuple[type, ...]] = {
    "id": (int,),
    "project_id": (int, *OR_NONE),
    "client_id": (int, *OR_NONE),
    "client_name": TEXT,
    "client_company": (str, *OR_NONE),
    "client_telegram_id": (int, *OR_NONE),
    "server_name": TEXT,
    "configuration": (str, *OR_NONE),
    "ip_address": (str, *OR_NONE),
    "cost_price": NUMBER,
    "client_price": NUMBER,
    "service_fee": NUMBER,
    "total_price": NUMBER,
    "profit_amount": NUMBER,
    "profit_percent": NUMBER,
    "days_remaining": NUMBER,
    "start_date": TEXT,
    "next_payment_date": TEXT,
    "payment_period": TEXT,
    "status": TEXT,
    "notes": (str, *OR_NONE),
    "created_at": TEXT,
    "updated_at": TEXT,
}
STATS: dict[str, tuple[type, ...]] = dict.fromkeys(
    ("active_servers", "profit_month", "profit_all_time", "overdue_count", "overdue_sum"), NUMBER
)
FORM: dict[str, Any] = {
    "client_name": "Иванов",
    "client_company": None,
    "client_telegram_id": None,
    "server_name": "old-vps",
    "configuration": "1 CPU",
    "ip_address": "198.51.100.77",
    "cost_price": 300,
    "client_price": 900,
    "service_fee": 100,
    "start_date": "2026-11-01T00:00:00.000Z",
    "next_payment_date": "2026-12-01",
    "payment_period": "monthly",
    "notes": None,
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def front_end(host: Host) -> Iterator[TestClient]:
    app = host.app(after=own_router, numbers="zero", payments=payments_of)
    with TestClient(app, base_url="https://crm.example.com", headers={"Authorization": "Bearer admin"}) as client:
        yield client


def assert_has(document: Any, keys: dict[str, tuple[type, ...]]) -> None:
    wrong = {key: document.get(key, "absent") for key, types in keys.items() if type(document.get(key, "absent")) not in types}
    assert not wrong, wrong


def test_a_day_at_the_front_end(front_end: TestClient, host: Host) -> None:
    def call(method: str, path: str, body: Any = None) -> dict[str, Any]:
        reply = front_end.request(method, f"{API}/{path}", json=body)
        assert reply.status_code == 200, reply.text
        document: dict[str, Any] = reply.json()
        assert document["success"] is True
        return document

    # Before the first sync: everything empty, nothing null where numbers are read.
    assert_has(call("GET", "stats")["stats"], STATS)
    assert call("GET", "servers")["servers"] == []
    assert call("GET", "timeweb/status")["configured"] is True
    live = call("GET", "timeweb/servers")
    assert_has(live["servers"][0], {"timeweb_id": (int,), "name": TEXT, "status": TEXT, "is_imported": (bool,)})
    assert (live["total"], live["imported_count"]) == (23, 0)

    # Import two, one of them twice; with the ids in a name and, as the CRM's first router took them, without.
    ids = [server["timeweb_id"] for server in live["servers"][:2]]
    imported = call("POST", "timeweb/import", {"server_ids": ids[:1]})
    assert_has(imported["imported"][0], {"server_id": (int,), "crm_id": (int,), "name": TEXT})
    second = call("POST", "timeweb/import", ids)
    assert (second["imported_count"], second["error_count"]) == (1, 1)
    assert_has(second["errors"][0], {"server_id": (int,), "error": TEXT})

    # The button «Синхронизация с Timeweb».
    report = call("POST", "timeweb/sync-all")
    assert_has(report, dict.fromkeys(("created_count", "updated_count", "error_count", "total_processed"), (int,)))
    assert_has(report["created"][0], {"timeweb_id": (int,), "crm_id": (int,), "name": TEXT})
    assert report["message"].startswith("Синхронизация завершена")
    rows = call("GET", "servers")
    assert rows["total"] == len(rows["servers"]) == 23
    for row in rows["servers"]:
        assert_has(row, ROW)
    assert "неизвестно" in rows["note"]

    # One server: open, sync, edit through the form with every field, tie to a project.
    crm_id = imported["imported"][0]["crm_id"]
    host.execute(
        "INSERT INTO hosting_payments (server_id, amount, expected_date, period_start, period_end, status) "
        "VALUES (:id, 900, '2026-12-01 00:00:00', '2026-11-01 00:00:00', '2026-12-01 00:00:00', 'pending')",
        id=crm_id,
    )
    opened = call("GET", f"server/{crm_id}")
    assert_has(opened["server"], ROW)
    assert_has(opened["payments"][0], {"id": (int,), "amount": NUMBER, "expected_date": TEXT, "status": TEXT})
    synced = call("POST", f"server/{crm_id}/sync")
    assert synced["message"] != "by the old code"
    assert_has(synced["server"], ROW)
    form = {key: opened["server"][key] for key in FORM} | {"client_name": "ООО «Ромашка»", "client_price": 2500}
    saved = call("PUT", f"server/{crm_id}", form)
    assert (saved["server"]["client_price"], saved["server"]["client_name"]) == (2500, "ООО «Ромашка»")
    assert saved["server"]["configuration"] == opened["server"]["configuration"]
    assert set(saved["changes"]) == {"client_name", "client_price"}
    assert host.query("SELECT count(*) FROM timeweb_server_state WHERE cost_source = 'manual'") == [(0,)]
    linked = call("PATCH", f"server/{crm_id}/link-project", {"project_id": 7})
    assert (linked["server"]["project_id"], linked["message"]) == (7, "Сервер привязан к проекту")
    assert [row["id"] for row in call("GET", "servers?status=active&project_id=7")["servers"]] == [crm_id]
    assert call("PATCH", f"server/{crm_id}/link-project", {"project_id": None})["message"] == "Сервер отвязан от проекта"

    # A server of another hoster: add, change, remove.
    added = call("POST", "server", FORM)
    assert_has(added["server"], ROW)
    assert added["server"]["start_date"].startswith("2026-11-01")
    changed = call("PUT", f"server/{added['server']['id']}", FORM | {"configuration": "2 CPU", "ip_address": "198.51.100.78"})
    assert (changed["server"]["configuration"], changed["server"]["ip_address"]) == ("2 CPU", "198.51.100.78")
    assert call("DELETE", f"server/{added['server']['id']}")["message"]
    assert call("GET", "servers")["total"] == 23
    stats = call("GET", "stats")
    assert_has(stats["stats"], STATS)
    assert stats["stats"]["note"], "what has no price is not in the profit, and that is said"
    # What was there before stays beside it.
    assert_has(stats, {"active_servers": (int,), "servers": (int,), "overdue_count": (int,)})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "server/999", None, 404),
        ("GET", "servers?projekt_id=7", None, 422),
        ("POST", "server/999/sync", None, 404),
        ("PUT", "server/999", FORM, 404),
        ("PATCH", "server/1", {"client_price": "many"}, 422),
        ("PATCH", "server/1", {"configuration": "128 CPU"}, 422),
        ("PATCH", "server/1/link-project", {}, 422),
        ("DELETE", "server/1", None, 409),
        ("DELETE", "server/999", None, 404),
        ("GET", "timeweb/runs/999", None, 404),
    ],
)
def test_every_error_has_its_status_and_the_detail_that_is_shown(
    front_end: TestClient, method: str, path: str, body: Any, status: int
) -> None:
    assert front_end.post(f"{API}/timeweb/sync-all").status_code == 200
    reply = front_end.request(method, f"{API}/{path}", json=body)
    assert reply.status_code == status
    assert reply.json()["success"] is False
    assert reply.json()["detail"] == reply.json()["error"] != ""


def test_an_unknown_parameter_is_refused_by_name(front_end: TestClient) -> None:
    assert "projekt_id" in front_end.get(f"{API}/servers?projekt_id=7").json()["detail"]


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (500, "upstream_unavailable")])
def test_a_failed_sync_is_a_failure_by_status(front_end: TestClient, host: Host, status: int, code: str) -> None:
    host.emulator.add_fault(operation="*", times=99, status=status)
    reply = front_end.post(f"{API}/timeweb/sync-all")
    assert (reply.status_code, reply.json()["code"], reply.json()["success"]) == (502, code, False)
    assert reply.json()["detail"] == reply.json()["error"] == reply.json()["message"]
    # The keys of a report are there all the same.
    assert reply.json()["created_count"] == 0


def test_null_stays_the_default(host: Host) -> None:
    with TestClient(host.app(), headers={"Authorization": "Bearer admin"}) as client:
        client.post(f"{API}/timeweb/sync-all")
        document = client.get(f"{API}/servers").json()
        assert any(row["total_price"] is None or row["profit_amount"] is None for row in document["servers"])
        assert "note" not in document
        assert all(type(value) in NUMBER for key, value in client.get(f"{API}/stats").json()["stats"].items() if key in STATS)


def test_an_unknown_number_that_was_told_as_0_is_not_saved_as_0(front_end: TestClient, host: Host) -> None:
    front_end.post(f"{API}/timeweb/sync-all")
    row_id = host.query("SELECT id FROM hosting_servers ORDER BY id LIMIT 1")[0][0]
    host.execute("UPDATE timeweb_server_state SET cost_source = 'unknown' WHERE server_id = :id", id=row_id)
    host.execute("UPDATE hosting_servers SET cost_price = 0, service_fee = NULL WHERE id = :id", id=row_id)
    row = front_end.get(f"{API}/server/{row_id}").json()["server"]
    assert (row["cost_price"], row["service_fee"]) == (0, 0)
    saved = front_end.put(f"{API}/server/{row_id}", json={key: row[key] for key in FORM} | {"notes": "x"}).json()
    assert saved["changes"] == ["notes"]
    assert host.query("SELECT cost_source FROM timeweb_server_state WHERE server_id = :id", id=row_id) == [("unknown",)]


def test_the_hosts_own_sum_of_all_time(host: Host) -> None:
    app = host.app(all_time_profit=lambda connection: connection.exec_driver_sql("SELECT 1234.5").scalar_one())
    with TestClient(app, headers={"Authorization": "Bearer admin"}) as client:
        assert client.get(f"{API}/stats").json()["stats"]["profit_all_time"] == 1234.5


def test_the_part_timeweb_alone_carries_every_call_of_the_integration(host: Host) -> None:
    with TestClient(host.app(parts=["timeweb"]), headers={"Authorization": "Bearer admin"}) as client:
        client.post(f"{API}/timeweb/sync-all")
        assert client.post(f"{API}/server/1/sync").json()["success"] is True
        assert client.get(f"{API}/servers").status_code == 404


def test_a_router_that_would_never_answer_stops_the_application_by_name(host: Host) -> None:
    """Mounted behind the CRM's own, the old code would go on serving, and nobody would be told."""
    client = TestClient(host.app(own_router(), parts=["timeweb"]))
    with pytest.raises(ConfigurationError, match=r"POST /admin/hosting/api/server/{row_id}/sync .*own_router.*sync"), client:
        pass


def test_an_application_mounted_over_it_stops_too(host: Host) -> None:
    app, whole = host.app(), FastAPI()
    whole.mount("/admin", FastAPI())
    whole.include_router(app.router)
    with pytest.raises(ConfigurationError, match="what is mounted at /admin"), TestClient(whole):
        pass


def test_numbers_is_checked(host: Host) -> None:
    with pytest.raises(ConfigurationError, match="numbers='0'"):
        host.app(numbers="0")
