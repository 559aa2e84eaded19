"""«Do I earn»: one definition of the result, wherever it is read."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import blocking
from crm_adapter.cli import main
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import HostingServer
from crm_adapter.servers.totals import By
from crm_adapter.text.formats import money
from crm_adapter.web import charts
from tests.crm.web.conftest import PREFIX, Open, Section

ZONE = ZoneInfo("Europe/Moscow")


def fill(section: Section) -> None:
    """Some servers with a price, one with a price and no known cost, most without a price, one that is closed."""
    section.execute("UPDATE hosting_servers SET client_price = 2000, client_name = 'Анна' WHERE id % 4 = 0")
    section.execute("UPDATE hosting_servers SET client_price = 9000, payment_period = 'quarterly' WHERE id = 8")
    section.execute("UPDATE hosting_servers SET cost_price = 0, client_price = 700 WHERE id = 5")
    section.execute("UPDATE timeweb_server_state SET cost_source = 'unknown' WHERE server_id = 5")
    section.execute("UPDATE hosting_servers SET status = 'closed' WHERE id = 12")
    section.execute("UPDATE timeweb_account_state SET other_costs = 321.5")
    section.execute("UPDATE timeweb_service SET cost_net = CASE type WHEN 's3' THEN 321.5 ELSE 0 END")


def test_page_chart_api_csv_and_command_line_agree(
    synced: Section, open_client: Open, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(synced)
    # One is gone from Timeweb, one belongs to another hosting.
    synced.execute("UPDATE timeweb_server_state SET removed_at = '2026-01-01 00:00:00.000000' WHERE server_id = 13")
    synced.execute("UPDATE hosting_servers SET timeweb_id = NULL, client_name = 'Борис' WHERE id = 14")
    synced.execute("UPDATE timeweb_server_state SET timeweb_id = NULL, cost_source = 'manual' WHERE server_id = 14")
    client = open_client(synced.app())
    stats = client.get(f"{PREFIX}/api/stats").json()
    with synced.engine() as engine:
        totals = blocking.totals(sessionmaker(engine))
        with Session(engine) as session:
            months = charts.months(session, validate_mapping(HostingServer), validate_mapping(HostingServer).today(), ZONE)
    # By hand, from what the file for a spreadsheet says about rows.
    text = client.get(f"{PREFIX}/export.csv").content.decode("utf-8-sig")
    found = csv.DictReader(io.StringIO(text), delimiter=";")
    rows = [row for row in found if row["Статус"] != "Закрыт" and row["ID"] != "13"]
    months_of = {"в месяц": 1, "в квартал": 3, "в год": 12}
    income = sum(number(row["Цена для клиента, ₽"]) / months_of[row["Период оплаты"]] for row in rows)
    cost = sum(number(row["Себестоимость, ₽/мес"]) for row in rows)
    margin = sum(number(row["Маржа, ₽/мес"]) for row in rows)
    assert (totals.income_month, totals.cost_month, totals.profit_month) == (income, cost, margin)
    assert totals.result_month == income - cost - Decimal("321.50")
    assert totals.result_month == margin + Decimal(700) - (totals.unpriced_cost or 0) - Decimal("321.50")
    assert totals.uncosted_income == Decimal(700)
    assert stats["result_month"] == pytest.approx(float(totals.result_month or 0))
    assert {"income_month", "cost_month", "profit_month", "profit_percent", "priced_count", "unpriced_cost"} <= stats.keys()
    page = client.get(PREFIX).text
    assert money(totals.result_month) in page
    assert (months[-1].income, months[-1].cost, months[-1].margin) == (income, cost, margin)
    assert (months[-1].result, months[-1].services) == (totals.result_month, Decimal("321.50"))
    assert money(months[-1].result) in client.get(f"{PREFIX}/dynamics").text
    assert "Результат" in client.get(f"{PREFIX}/dynamics.svg").text
    text = client.get(f"{PREFIX}/dynamics.csv").content.decode("utf-8-sig")
    assert number(list(csv.DictReader(io.StringIO(text), delimiter=";"))[-1]["Результат, ₽"]) == totals.result_month
    assert money(totals.result_month) in client.get(f"{PREFIX}/services").text
    for by in get_args(By):
        groups = client.get(f"{PREFIX}/api/stats", params={"by": by}).json()["groups"]
        assert len(groups) == {"client": 3, "project": 1}[by] and all("balance" not in group for group in groups)
        assert sum(group["servers"] for group in groups) == totals.servers
        assert sum(group["income_month"] or 0 for group in groups) == pytest.approx(float(income))
        assert sum(group["cost_month"] or 0 for group in groups) == pytest.approx(float(cost))
    assert client.get(f"{PREFIX}/api/stats", params={"by": "weather"}).status_code == 422
    cards = client.get(f"{PREFIX}/api/clients").json()["clients"]
    assert sum(card["income_month"] or 0 for card in cards) == pytest.approx(float(income))
    spent = sum((card["server_cost"] or 0) + card["service_cost"] for card in cards)
    assert float(income) - spent == pytest.approx(float(totals.result_month or 0))
    monkeypatch.setenv("HOSTING_DATABASE_URL", str(synced.url.set(drivername="sqlite")))
    assert main(["servers"]) == 0
    assert f"= результат {money(totals.result_month)} в месяц" in capsys.readouterr().out
    assert main(["servers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"] == totals.to_dict()


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("client=%D0%90%D0%BD%D0%BD%D0%B0", "client_name = 'Анна' AND status != 'closed'"),
        ("view=unpriced", "client_price = 0 AND status != 'closed'"),
        ("q=git", "server_name LIKE '%git%'"),
    ],
)
def test_the_sums_are_those_of_what_is_filtered(synced: Section, open_client: Open, query: str, condition: str) -> None:
    fill(synced)
    client = open_client(synced.app())
    (cost,) = synced.query(f"SELECT sum(cost_price) FROM hosting_servers WHERE {condition}")[0]
    stats = client.get(f"{PREFIX}/api/stats?{query}").json()
    assert (stats["cost_month"], stats["other_costs"]) == (pytest.approx(cost), None)
    assert money(cost) in client.get(f"{PREFIX}?{query}").text
    headers = {"HX-Request": "true", "HX-Current-URL": f"https://crm.example.com{PREFIX}?{query}"}
    assert money(cost) in client.get(f"{PREFIX}/servers/1/row", headers=headers).text
    assert "по выбранным" not in client.get(f"{PREFIX}/servers/1/row", headers={"HX-Request": "true"}).text


def test_what_costs_more_than_it_earns_is_found(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE hosting_servers SET client_price = 99999")
    for number_, price in ((3, 1), (4, 2)):
        synced.execute("UPDATE hosting_servers SET client_price = :price WHERE id = :id", id=number_, price=price)
    synced.execute("UPDATE hosting_servers SET status = 'closed' WHERE id = 4")
    found = open_client(synced.app()).get(f"{PREFIX}/api/servers?view=loss").json()["servers"]
    assert [row["id"] for row in found] == [3]


def number(text: str) -> Decimal:
    """A cell of the file; «—» adds nothing."""
    return Decimal(0) if text == "—" else Decimal(text.replace(",", "."))
