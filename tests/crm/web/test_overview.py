"""The calendar of payments and the sums by client and project, as dialogs and as pages of their own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from crm_adapter.money import add_months, local_today
from crm_adapter.web import overview
from tests.crm.web.conftest import PREFIX, Open, Section, Sit
from tests.crm.web.test_statements import statements


@pytest.fixture
def paying(synced: Section) -> Section:
    """Two clients who pay, one of them late."""
    due = "UPDATE hosting_servers SET client_name = :client, client_price = 1500, next_payment_date = :day WHERE id = :id"
    today = local_today()
    for number, client, day in (
        (3, "Анна", today + timedelta(days=1)),
        (4, "Анна", today - timedelta(days=40)),
        (5, "Борис & Ко", today),
    ):
        synced.execute(due, id=number, client=client, day=f"{day} 00:00:00.000000")
    return synced


def test_sums_by_client_lead_to_the_rows_of_each(paying: Section, open_client: Open) -> None:
    client = open_client(paying.app())
    with statements() as seen:
        page = client.get(f"{PREFIX}/groups").text
    assert len([text for text in seen if not text.startswith("PRAGMA")]) <= 2
    assert "3\u00a0000,00" in page and f'href="{PREFIX}?client=%D0%91%D0%BE%D1%80%D0%B8%D1%81+%26+%D0%9A%D0%BE"' in page
    narrowed = client.get(f"{PREFIX}/groups", params={"by": "project", "client": "Анна"}).text
    assert "Без проекта" in narrowed and "Борис" not in narrowed and "Только выбранные" in narrowed
    assert "Складывать нечего" in client.get(f"{PREFIX}/groups?q=nothing").text


def test_a_month_tells_its_payments_and_what_is_owed(paying: Section, open_client: Open) -> None:
    client, today = open_client(paying.app()), local_today()
    page = client.get(f"{PREFIX}/payments").text
    assert f'datetime="{today.isoformat()}"' in page and "Борис &amp; Ко" in page
    assert "просрочено раньше 1\u00a0500,00" in page
    after = add_months(today.replace(day=1), 1)
    assert f"month={after:%Y-%m}" in page
    assert "Борис" in client.get(f"{PREFIX}/payments?month={after:%Y-%m}").text
    only = client.get(f"{PREFIX}/payments?client=Анна").text
    assert "Борис" not in only and "только выбранные строки" in only
    for odd in ("yesterday", "9999-12", "0001-01", "2026-13"):
        assert f'datetime="{today.isoformat()}"' in client.get(f"{PREFIX}/payments?month={odd}").text


def test_thousands_are_no_page(paying: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_GROUPS", 1)
    monkeypatch.setattr(overview, "_OF_A_DAY", 3)
    with paying.engine() as engine, engine.begin() as connection:
        day = f"{local_today()} 00:00:00.000000"
        due = "UPDATE hosting_servers SET client_name = 'Анна', client_price = 100, next_payment_date = :day WHERE id > 10"
        connection.exec_driver_sql(due.replace(":day", "?"), (day,))
    client = open_client(paying.app())
    groups = client.get(f"{PREFIX}/groups").text
    assert "Анна" in groups and "Борис" not in groups and "Показаны первые 1 по доходу" in groups
    rows = sum(1 for _ in paying.query("SELECT id FROM hosting_servers WHERE id > 10 AND status IN ('active', 'overdue')"))
    assert "они в списке серверов" not in client.get(f"{PREFIX}/payments").text
    monkeypatch.setattr(overview, "_PAYMENTS", rows)
    payments = client.get(f"{PREFIX}/payments").text
    assert f"и ещё {rows + 1 - 3}: они в списке серверов" in payments


@pytest.mark.parametrize(("late", "rest"), [(100, False), (101, True)])
def test_100_late_payments_are_a_page(synced: Section, open_client: Open, late: int, rest: bool) -> None:
    """Given rows due before this month; when it is opened; then 100 are listed, and of more it says how many."""
    synced.execute("DELETE FROM hosting_servers")
    synced.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :late) INSERT INTO hosting_servers"
        " (server_name, client_name, client_price, start_date, next_payment_date, payment_period, status)"
        " SELECT 'typed-' || i, 'Анна', 100, :day, :day, 'monthly', 'active' FROM n",
        late=late,
        day=f"{add_months(local_today().replace(day=1), -1)} 00:00:00.000000",
    )
    page = open_client(synced.app(stale_after=10**9)).get(f"{PREFIX}/payments").text
    assert f"Просрочено раньше этого месяца: {late}" in page
    assert page.count("typed-") == 100 and ("и ещё 1: они в списке серверов" in page) is rest


@pytest.mark.parametrize(("dead", "rest"), [(100, False), (101, True)])
def test_100_undelivered_notifications_are_a_page(synced: Section, open_client: Open, dead: int, rest: bool) -> None:
    """Given notifications that nobody got; when the list is opened; then it has 100, and says so where there are more."""
    synced.execute("DELETE FROM timeweb_event_outbox WHERE id > 1")
    names = [str(column[1]) for column in synced.query("PRAGMA table_info(timeweb_event_outbox)")]
    other = {"id": "i", "dedupe_key": "i", "dead_at": "'2026-01-01 00:00:00.000000'", "last_error": "'NotDelivered'"}
    synced.execute(
        "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= :dead) INSERT INTO timeweb_event_outbox"
        f" SELECT {', '.join(other.get(name, name) for name in names)} FROM timeweb_event_outbox, n WHERE id = 1",
        dead=dead,
    )
    page = open_client(synced.app(stale_after=10**9)).get(f"{PREFIX}/undelivered").text
    assert page.count("<td>NotDelivered</td>") == 100 and ("Показаны последние 100." in page) is rest


def test_300_clients_are_a_page(synced: Section, open_client: Open) -> None:
    other = {"id": "i", "timeweb_id": "NULL", "client_name": "'client ' || i", "client_price": "100"}
    names = [str(column[1]) for column in synced.query("PRAGMA table_info(hosting_servers)")]
    values = ", ".join(other.get(name, name) for name in names)

    def add(first: int, last: int) -> None:
        """Rows like the first one, each of a client of its own."""
        synced.execute(
            "WITH RECURSIVE n (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
            f"INSERT INTO hosting_servers SELECT {values} FROM hosting_servers, n WHERE id = 1",
            first=first,
            last=last,
        )

    synced.execute("DELETE FROM hosting_servers WHERE id > 1")
    add(2, 300)
    client = open_client(synced.app(stale_after=10**9))
    pages = [f"{PREFIX}/groups", f"{PREFIX}/clients"]
    assert ["Показаны первые" in client.get(page).text for page in pages] == [False, False]
    add(301, 301)
    assert ["Показаны первые 300" in client.get(page).text for page in pages] == [True, True]


def test_both_are_of_what_is_filtered_now(paying: Section, sit: Sit) -> None:
    with sit(paying.app()) as desk:
        page = desk.open()
        dialog = page.get_by_role("dialog")
        page.get_by_label("Поиск").fill("Борис")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="По клиентам").click()
        expect(dialog.locator("tbody tr")).to_have_count(1)
        dialog.get_by_role("link", name="По проектам").click()
        expect(dialog.get_by_text("Без проекта")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Платежи").click()
        expect(dialog.get_by_text("Борис & Ко").first).to_be_visible()
        expect(dialog.get_by_text("Анна")).to_have_count(0)
        dialog.get_by_role("link", name="→").click()
        expect(dialog.get_by_text("Борис & Ко").first).to_be_visible()
        desk.assert_quiet()
