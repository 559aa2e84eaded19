"""Services on the page and in the API: whose they are, and sums that agree wherever they are shown."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.crm.web.conftest import Open, Section
from tests.crm.web.test_api import API, get, post


@pytest.fixture
def client(synced: Section, open_client: Open) -> TestClient:
    return open_client(synced.app())


def named(client: TestClient, name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [each for each in get(client, f"{API}/services")["services"] if each["name"] == name]
    return found


def test_the_api_lists_gives_away_and_tells_what_became_of_a_service(client: TestClient) -> None:
    everything = get(client, f"{API}/services")
    assert (everything["success"], everything["total"], everything["unowned_count"]) == (True, 11, 11)
    stats = get(client, f"{API}/stats")
    assert everything["cost_month"] == stats["other_costs"] == sum(each["cost_net"] for each in everything["services"])
    database = named(client, "shop-db")
    assert (database["type"], database["cost_gross"], database["cost_net"]) == ("database", 300, 270)
    assert database["proposal"]["reason"].startswith("в том же проекте Timeweb, что и сервер «")
    server_id = database["proposal"]["server_id"]
    given = post(client, f"{API}/services/attribute", {"service_ids": [database["id"], 999], "server_id": server_id})
    assert given["changed"] == [database["id"]] and list(given["refused"]) == ["999"] and not given["success"]
    assert post(client, f"{API}/services/attribute", {"service_ids": [database["id"]], "client_name": "Анна"})["success"]
    one = get(client, f"{API}/services/{database['id']}")
    assert (one["service"]["owner"], one["service"]["proposal"]) == ("client:Анна", None)
    assert [(each["field"], each["new"]) for each in one["changes"]] == [
        ("owner", "client:Анна"), ("owner", f"server:{server_id}"), ("created", "shop-db"),
    ]  # fmt: skip
    assert {each["actor"] for each in one["changes"][:2]} == {"Bearer admin".removeprefix("Bearer ")}
    cards = get(client, f"{API}/clients")["clients"]
    (anna,) = [card for card in cards if card["client_name"] == "Анна"]
    assert (anna["service_cost"], anna["servers"], anna["result_month"]) == (270, 0, None)
    assert sum(card["service_cost"] for card in cards) == stats["other_costs"]
    assert get(client, f"{API}/services?client=%D0%90%D0%BD%D0%BD%D0%B0")["total"] == 1
    assert get(client, f"{API}/services?view=nobody&limit=4&page=3")["pages"] == 3


def test_the_api_refuses_what_makes_no_sense(client: TestClient) -> None:
    assert get(client, f"{API}/services?typ=s3", 422)["code"] == "validation"
    assert get(client, f"{API}/services/999999", 404)["code"] == "not_found"
    both = {"service_ids": [1], "server_id": 1, "client_name": "Анна"}
    assert post(client, f"{API}/services/attribute", both, 422)["code"] == "validation"
    assert post(client, f"{API}/services/attribute", {"service_ids": [1], "owner": "x"}, 422)["code"] == "validation"


def test_services_as_csv(synced: Section, client: TestClient) -> None:
    synced.execute("UPDATE timeweb_service SET name = '=1+1' WHERE type = 's3'")
    reply = client.get(f"{API.removesuffix('/api')}/services.csv?sort=cost")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    lines = reply.content.decode("utf-8-sig").splitlines()
    assert len(lines) == 12 and ";'=1+1;" in reply.text and ";270,00;300,00;" in reply.text


def test_months_as_csv(client: TestClient) -> None:
    prefix, sums = API.removesuffix("/api"), get(client, f"{API}/services")
    lines = client.get(f"{prefix}/dynamics.csv").content.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("Месяц;Доход, ₽;Серверы, ₽;Услуги, ₽;") and len(lines) == 2
    assert f";{sums['cost_month']:.2f}".replace(".", ",") in lines[1]
    lines = client.get(f"{prefix}/services-months.csv").content.decode("utf-8-sig").splitlines()
    assert len(lines) == 12 and ";База данных;database;shop-db;1001;;270,00" in "\n".join(lines)
