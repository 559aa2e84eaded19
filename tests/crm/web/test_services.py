"""Services on the page and in the API: whose they are, and sums that agree wherever they are shown."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crm_adapter.text.formats import money
from crm_adapter.web import streams
from tests.crm.web.conftest import Open, Section
from tests.crm.web.test_api import API, get, post
from tests.crm.web.test_statements import statements


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


def test_services_of_many_pieces_are_those_of_one(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number is read, written and sent piece by piece; proposals and the order are the same."""
    paths = f"{API}/services?sort=cost", f"{API}/services?limit=7&page=2", f"{API.removesuffix('/api')}/services.csv?sort=cost"
    whole = [client.get(path).content for path in paths]
    monkeypatch.setattr(streams, "PIECE", 3)
    with statements() as seen:
        with_pieces = [client.get(path) for path in paths]
    # Who has servers in which project takes a look at every server: once, not for each piece.
    assert sum("GROUP BY" in statement for statement in seen) == len(paths)
    assert [reply.content for reply in with_pieces] == whole
    assert all("content-length" not in reply.headers for reply in with_pieces)
    assert [each["cost_net"] for each in with_pieces[0].json()["services"]] == sorted(
        each["cost_net"] for each in with_pieces[0].json()["services"]
    )


def test_months_as_csv(client: TestClient) -> None:
    prefix, sums = API.removesuffix("/api"), get(client, f"{API}/services")
    lines = client.get(f"{prefix}/dynamics.csv").content.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("Месяц;Доход, ₽;Серверы, ₽;Услуги, ₽;") and len(lines) == 2
    assert f";{sums['cost_month']:.2f}".replace(".", ",") in lines[1]
    lines = client.get(f"{prefix}/services-months.csv").content.decode("utf-8-sig").splitlines()
    assert len(lines) == 12 and ";База данных;database;shop-db;1001;;270,00" in "\n".join(lines)


PAGE = f"{API.removesuffix('/api')}/services"


def ticked(client: TestClient, *names: str) -> list[str]:
    """The boxes of services as the page draws them."""
    text = client.get(PAGE).text
    ids = [named(client, name)["id"] for name in names]
    return [value for value in re.findall(r'name="ids" value="([^"]*)"', text) if int(value.partition(":")[0]) in ids]


def test_the_page_works_by_forms_alone(synced: Section, client: TestClient) -> None:
    """Without a script: filters are links, a proposal and several at once are forms, what was done is taken back."""
    synced.execute("UPDATE hosting_servers SET client_price = 3000, client_name = 'Анна' WHERE server_name = 'shop'")
    whole = client.get(PAGE).text
    assert "Отдать" in whole and "в том же проекте Timeweb" in whole and whole.count('id="service-') == 11
    database = named(client, "shop-db")
    owner = f"server:{database['proposal']['server_id']}"
    reply = client.post(f"{PAGE}/{database['id']}/owner", data={"owner": owner}, follow_redirects=False)
    assert (reply.status_code, "done=saved&undo=" in reply.headers["location"]) == (303, True)
    assert named(client, "shop-db")["owner"] == owner
    # A second click on an old page takes nothing from whoever has it.
    assert client.post(f"{PAGE}/{database['id']}/owner", data={"owner": "client:Борис"}).status_code == 409
    stale = ticked(client, "studio-media", "studio-drive")
    shown = client.post(f"{PAGE}/bulk", data={"ids": stale, "action": "client", "value": "Борис"})
    assert (shown.status_code, "Сохранено" in shown.text, "Отменить" in shown.text) == (200, True, True)
    assert client.post(f"{PAGE}/bulk", data={"ids": stale, "action": "nobody"}).status_code == 409
    assert 'href="/admin/hosting/services?client=' in client.get(f"{PAGE}?client=Борис").text
    (at,) = re.findall(r'name="at" value="([^"]*)"', shown.text)
    back = client.post(f"{PAGE.removesuffix('/services')}/undo", data={"at": at, "section": "services"})
    assert back.url.path == PAGE and named(client, "studio-media")["owner"] is None
    for action, value, status in (
        ("proposed", "", 200), ("proposed", "", 409), ("server", "gitlab", 200), ("server", "nowhere", 422),
        ("eat", "", 422), ("client", " ", 409),
    ):  # fmt: skip
        ids = ticked(client, "studio-media")
        assert client.post(f"{PAGE}/bulk", data={"ids": ids, "action": action, "value": value}).status_code == status, action
    assert client.post(f"{PAGE}/bulk", data={"action": "nobody"}).status_code == 422
    told = client.get(f"{PAGE}/{named(client, 'studio-media')['id']}/history").text
    assert "Чья услуга" in told and "Борис" in told and "сервер, запись №" in told


def test_the_sums_of_all_pages_agree(client: TestClient) -> None:
    stats, services = get(client, f"{API}/stats"), get(client, f"{API}/services")
    costs = stats["cost_month"] + stats["other_costs"]
    page, servers = client.get(PAGE).text, client.get(PAGE.removesuffix("/services")).text
    assert money(services["cost_month"]) in page and money(services["cost_month"]) in servers
    assert money(stats["cost_month"]) in page and money(costs) in page
    cards = get(client, f"{API}/clients")["clients"]
    assert sum(card["service_cost"] + (card["server_cost"] or 0) for card in cards) == pytest.approx(costs)
    text = client.get(f"{PAGE.removesuffix('/services')}/clients").text
    assert all(money(card["service_cost"]) in text for card in cards)


def test_the_page_of_services_takes_few_statements(client: TestClient) -> None:
    with statements() as seen:
        assert client.get(f"{PAGE}?client=x&q=y").status_code == 200
    assert len([text for text in seen if text.startswith("SELECT")]) <= 12, seen


def test_the_page_says_what_its_sums_contain(client: TestClient) -> None:
    home = PAGE.removesuffix("/services")
    whole, some = client.get(home).text, client.get(f"{home}?status=active").text
    assert "доход минус серверы и услуги" in whole and "услуги не вычтены" in some
    included = [get(client, f"{API}/stats{narrowed}")["services_included"] for narrowed in ("", "?status=active")]
    assert included == [True, False]
