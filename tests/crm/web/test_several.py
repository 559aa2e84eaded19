"""Two people at one row, several rows at once, and taking back what was just done."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import Request
from playwright.sync_api import expect

from tests.crm.web.conftest import PREFIX, TOKEN, Open, Section, Sit
from tests.crm.web.test_statements import statements
from tests.waiting import until
from timeweb_sdk.testing import Emulator, demo_state

HTMX = {"HX-Request": "true", "Sec-Fetch-Site": "same-origin"}
DATE = "2026-01-31 00:00:00.000000"


def column(section: Section, name: str, *ids: int) -> list[Any]:
    found = dict(section.query(f"SELECT id, {name} FROM hosting_servers"))
    return [found[number] for number in ids]


def name_of(request: Request) -> str:
    return request.headers["x-name"]


def token(text: str) -> str:
    """What the button «Отменить» would send."""
    found = re.search(r'name="at" value="([^"]+)"', text)
    assert found is not None, text
    return found[1]


def test_only_the_same_cell_is_a_conflict(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    url = f"{PREFIX}/servers/3/edit?field="
    first = client.get(url + "client_name", headers=HTMX).text
    version = re.search(r'name="edit_version" value="(\d+)"', first)
    assert version is not None and 'name="was_client_name" value="Не указан"' in first

    def save(field: str, value: str, was: str) -> str:
        data = {field: value, f"was_{field}": was, "edit_version": version[1]}
        return client.post(url + field, data=data, headers=HTMX).text

    assert "Сохранено" in save("client_name", "Анна", "Не указан")
    assert "Сохранено" in save("client_price", "900", "")
    assert "строку изменил admin: имя клиента — Анна" in save("client_name", "Борис", "Не указан")
    assert synced.query("SELECT client_name, client_price FROM hosting_servers WHERE id = 3") == [("Анна", 900)]
    # The whole form writes only what was changed in it.
    form = {"was_client_name": "Не указан", "client_name": "Не указан", "was_notes": "", "notes": "x", "edit_version": "0"}
    assert client.post(f"{PREFIX}/servers/3/edit", data=form, headers=HTMX).headers["HX-Trigger"].startswith("hosting:close")
    assert synced.query("SELECT client_name, notes FROM hosting_servers WHERE id = 3") == [("Анна", "x")]


def test_a_payment_is_taken_back_with_its_month_end(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE hosting_servers SET next_payment_date = :d WHERE id = 3", d=DATE)
    client = open_client(synced.app())

    def pay(day: str) -> str:
        return client.post(f"{PREFIX}/servers/3/paid", data={"expected_date": day}, headers=HTMX).text

    pay("2026-01-31")
    reply = pay("2026-02-28")
    assert column(synced, "next_payment_date", 3) == ["2026-03-31 00:00:00.000000"]
    assert "Отменено: 1 строка" in client.post(f"{PREFIX}/undo", data={"at": token(reply)}, headers=HTMX).text
    assert column(synced, "next_payment_date", 3) == ["2026-02-28 00:00:00.000000"]
    assert "Отменить нельзя" in client.post(f"{PREFIX}/undo", data={"at": token(reply)}, headers=HTMX).text
    pay("2026-02-28")
    assert column(synced, "next_payment_date", 3) == ["2026-03-31 00:00:00.000000"]


def test_several_rows_are_one_transaction_and_one_undo(synced: Section, open_client: Open) -> None:
    client, ids = open_client(synced.app()), list(range(1, 23))
    before = len(synced.query("SELECT id FROM timeweb_change_log"))
    data = {"ids": [f"{number}:" for number in [*ids, 999]], "action": "client", "value": "Анна"}
    with statements() as seen:
        reply = client.post(f"{PREFIX}/bulk", data=data, headers=HTMX)
    assert "Изменено: 22 строки. Не изменено: 1 (№ 999: Запись не найдена)" in reply.text
    assert reply.headers["HX-Trigger"] == "hosting:untick, hosting:refresh"
    assert len([text for text in seen if text.startswith("UPDATE hosting_servers")]) == 1
    assert column(synced, "client_name", *ids) == ["Анна"] * 22
    assert len(synced.query("SELECT id FROM timeweb_change_log")) == before + 22
    synced.execute("UPDATE hosting_servers SET client_name = 'Борис' WHERE id = 5")
    back = client.post(f"{PREFIX}/undo", data={"at": token(reply.text)}, headers=HTMX).text
    assert "Отменено: 21 строка, изменены с тех пор и оставлены: 1" in back
    assert set(column(synced, "client_name", *ids)) == {"Не указан", "Борис"}


def test_ticked_rows_are_paid_once_however_often_it_is_clicked(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE hosting_servers SET next_payment_date = :d", d=DATE)
    client = open_client(synced.app())
    data = {"ids": ["3:2026-01-31", "4:2026-01-31"], "action": "paid"}
    assert "Изменено: 2 строки" in client.post(f"{PREFIX}/bulk", data=data, headers=HTMX).text
    assert "Не изменено: 2" in client.post(f"{PREFIX}/bulk", data=data, headers=HTMX).text
    assert column(synced, "next_payment_date", 3, 4, 5) == ["2026-02-28 00:00:00.000000"] * 2 + [DATE]


def test_what_cannot_be_is_refused_before_anything_is_written(synced: Section, open_client: Open) -> None:
    client, before = open_client(synced.app()), synced.query("SELECT * FROM hosting_servers")
    for data, text in (
        ({"action": "paid"}, "Отметьте хотя бы одну строку"),
        ({"ids": "3:", "action": "drop"}, "Такого действия нет"),
        ({"ids": "3:", "action": "project", "value": "семь"}, "ожидается целое число"),
        ({"ids": "x", "action": "paid"}, "Отметьте хотя бы одну строку"),
    ):
        assert text in client.post(f"{PREFIX}/bulk", data=data, headers=HTMX).text
    assert "Отменять нечего" in client.post(f"{PREFIX}/undo", data={"at": "yesterday"}, headers=HTMX).text
    assert synced.query("SELECT * FROM hosting_servers") == before


def test_one_person_does_not_take_back_what_another_did(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app(dependencies=[lambda: None], actor=name_of))
    data = {"ids": "3:", "action": "close"}
    reply = client.post(f"{PREFIX}/bulk", data=data, headers=HTMX | {"X-Name": "Anna"}).text
    taken = client.post(f"{PREFIX}/undo", data={"at": token(reply)}, headers=HTMX | {"X-Name": "Boris"}).text
    assert "Отменить нельзя" in taken and column(synced, "status", 3) == ["closed"]


def test_ticking_applying_and_taking_back_at_the_desk(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.open()
        for name in ("gitlab", "staging"):
            page.get_by_label(f"Отметить: {name}", exact=True).check()
        page.get_by_label("С отмеченными").select_option("client")
        page.get_by_label("Новое значение").fill("Анна")
        page.get_by_role("button", name="Применить").click()
        expect(page.locator("tbody").get_by_text("Анна")).to_have_count(2)
        page.get_by_role("button", name="Отменить").click()
        expect(page.locator("tbody").get_by_text("Анна")).to_have_count(0)
        desk.assert_quiet()
        plain = desk.open(java_script_enabled=False)
        plain.get_by_label("Отметить: gitlab", exact=True).check()
        plain.get_by_label("С отмеченными").select_option("close")
        plain.get_by_role("button", name="Применить").click()
        expect(plain.get_by_text("Сохранено")).to_be_visible()
        plain.get_by_role("button", name="Отменить").click()
        expect(plain.get_by_text("Изменения отменены")).to_be_visible()
        assert column(few, "status", few.id_of("gitlab")) == ["active"]


def test_taking_back_is_offered_for_20_s(few: Section, sit: Sit) -> None:
    """Given the message of a change; when time passes; then its button stays 20 s."""
    with sit(few.app()) as desk:
        page = desk.page()
        page.clock.install()
        page.clock.pause_at("2100-01-01")
        page.goto(f"{desk.address}{PREFIX}")
        page.get_by_label("Отметить: gitlab", exact=True).check()
        page.get_by_label("С отмеченными").select_option("close")
        page.get_by_role("button", name="Применить").click()
        offer = page.get_by_role("button", name="Отменить")
        expect(offer).to_be_visible()
        for milliseconds, shown in ((19_900, True), (200, False)):
            page.clock.run_for(milliseconds)
            expect(offer).to_be_visible(visible=shown)
        desk.assert_quiet()


def undone(client: Any, reply: str) -> str:
    return str(client.post(f"{PREFIX}/undo", data={"at": token(reply)}, headers=HTMX).text)


def test_a_removed_row_comes_back_as_it_was(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE hosting_servers SET timeweb_id = NULL, notes = 'x', client_price = 900.5 WHERE id = 3")
    synced.execute("DELETE FROM timeweb_server_state WHERE server_id = 3")
    client, whole = open_client(synced.app()), "SELECT * FROM hosting_servers WHERE id = 3"
    names = [name for (name,) in synced.query("SELECT name FROM pragma_table_info('hosting_servers')")]
    before = dict(zip(names, synced.query(whole)[0], strict=True))
    assert "Запись связана" in client.post(f"{PREFIX}/servers/4/remove", headers=HTMX).text
    reply = client.post(f"{PREFIX}/servers/3/remove", headers=HTMX)
    assert reply.headers["HX-Trigger"] == "hosting:close, hosting:refresh" and synced.query(whole) == []
    assert "Отменено: 1 строка" in undone(client, reply.text)
    after = dict(zip(names, synced.query(whole)[0], strict=True))
    moved = {name for name in names if before[name] != after[name]} - {"timeweb_status", "timeweb_preset_id", "timeweb_data"}
    assert moved <= {"created_at", "updated_at", "last_sync_at"}
    assert "Отменить нельзя" in undone(client, reply.text)
    plain = client.post(f"{PREFIX}/servers/3/remove", headers={"Sec-Fetch-Site": "same-origin"})
    assert "Строка удалена" in plain.text and "Отменить" in plain.text


def test_a_cost_is_taken_back_to_whom_it_belonged(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    source = "SELECT cost_source FROM timeweb_server_state WHERE server_id = 3"
    cost, owner = column(synced, "cost_price", 3), synced.query(source)
    data = {"was_cost_price": "", "cost_price": "77", "edit_version": "0"}
    reply = client.post(f"{PREFIX}/servers/3/edit", data=data, headers=HTMX).text
    assert (column(synced, "cost_price", 3), synced.query(source)) == ([77], [("manual",)])
    assert "указана вручную" in client.get(f"{PREFIX}/servers/3/history", headers=HTMX).text
    assert "Отменено: 1 строка" in undone(client, reply)
    assert (column(synced, "cost_price", 3), synced.query(source)) == (cost, owner)
    synced.execute("UPDATE timeweb_server_state SET fingerprint = 'old' WHERE server_id = 3")
    synced.sync()
    assert (column(synced, "cost_price", 3), synced.query(source)) == (cost, owner)


def test_a_tie_to_a_server_is_loosened_and_tied_again(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    (number,) = column(synced, "timeweb_id", 3)
    reply = client.post(f"{PREFIX}/servers/3/unlink", headers=HTMX).text
    assert column(synced, "timeweb_id", 3) == [None]
    assert "Отменено: 1 строка" in undone(client, reply)
    assert column(synced, "timeweb_id", 3) == [number]
    assert synced.query("SELECT account FROM timeweb_server_state WHERE server_id = 3") == [("default",)]
    client.post(f"{PREFIX}/servers/3/unlink", headers=HTMX)
    linked = client.post(f"{PREFIX}/servers/3/link", data={"target": f"{number}@default"}, headers=HTMX).text
    assert "Отменено: 1 строка" in undone(client, linked)
    assert column(synced, "timeweb_id", 3) == [None]
    # A number that another row has taken since cannot come back.
    first = client.post(f"{PREFIX}/servers/4/unlink", headers=HTMX).text
    taken = synced.query("SELECT unlinked_from FROM timeweb_server_state WHERE server_id = 4")[0][0]
    client.post(f"{PREFIX}/servers/3/link", data={"target": f"{taken}@default"}, headers=HTMX)
    assert "Отменить нельзя" in undone(client, first)


def test_only_ticked_rows_are_synchronised_and_timeweb_is_asked_once(synced: Section, open_client: Open) -> None:
    for server in synced.emulator.state["servers"]:
        server["name"] += "-2"
    synced.execute("UPDATE hosting_servers SET timeweb_id = NULL WHERE id = 9")
    client, ids = open_client(synced.app()), [1, 2, 3, 4, 5, 9, 999]
    data = {"ids": [f"{number}:" for number in ids], "action": "sync"}
    reply = client.post(f"{PREFIX}/bulk", data=data, headers=HTMX)
    assert "Синхронизировано: 5 строк, обновлено 5. Не изменено: 2" in reply.text
    assert "№ 9: Запись не связана" in reply.text and "№ 999: Запись не найдена" in reply.text
    renamed = [str(name).endswith("-2") for name in column(synced, "server_name", *range(1, 9))]
    assert renamed == [True] * 5 + [False] * 3
    again = client.post(f"{PREFIX}/bulk", data=data, headers=HTMX).text
    assert "Синхронизировано: 5 строк, обновлено 0" in again


def test_a_date_outside_ten_years_is_asked_again(synced: Section, open_client: Open) -> None:
    client, before = open_client(synced.app()), column(synced, "next_payment_date", 3)
    for typed in ("0026-11-28", "2099-01-01"):
        data = {"next_payment_date": typed, "was_next_payment_date": str(before[0])[:10]}
        reply = client.post(f"{PREFIX}/servers/3/edit?field=next_payment_date", data=data, headers=HTMX).text
        assert "дальше десяти лет" in reply and typed in reply
    assert column(synced, "next_payment_date", 3) == before


def test_the_import_ticks_nothing_by_itself(section: Section, sit: Sit) -> None:
    with sit(section.app(stale_after=10**9, import_new=False)) as desk:
        page = desk.open()
        page.get_by_role("link", name="Импорт из Timeweb").first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("checkbox")).to_have_count(23)
        assert dialog.locator("input:checked").count() == 0
        dialog.get_by_role("searchbox").fill("git")
        expect(dialog.get_by_role("checkbox")).to_have_count(1)
        dialog.get_by_role("button", name="Выбрать новые").click()
        expect(dialog.locator("input:checked")).to_have_count(1)
        dialog.get_by_role("searchbox").fill("")
        expect(dialog.get_by_role("checkbox")).to_have_count(23)
        assert dialog.locator("input:checked").count() == 1
        dialog.get_by_role("button", name="Выбрать новые").click()
        expect(dialog.locator("input:checked")).to_have_count(23)
        dialog.get_by_role("button", name="Снять все").click()
        expect(dialog.locator("input:checked")).to_have_count(0)
        desk.assert_quiet()
        plain = desk.open("/import", java_script_enabled=False)
        plain.get_by_role("searchbox").fill("git")
        plain.get_by_role("searchbox").press("Enter")
        expect(plain.get_by_role("checkbox")).to_have_count(1)
        plain.get_by_role("button", name="Выбрать новые").click()
        plain.get_by_role("button", name="Импортировать отмеченные").click()
        expect(plain.get_by_text("Серверы импортированы")).to_be_visible()
    assert section.query("SELECT server_name FROM hosting_servers") == [("gitlab",)]


def many(section: Section, number: int) -> Section:
    """The same installation with an account of so many servers."""
    return Section(section.url, Emulator(demo_state(number), token=TOKEN, rate_limit=False))


def test_pages_of_the_import_keep_the_ticks_and_timeweb_is_asked_once(section: Section, open_client: Open) -> None:
    section = many(section, 250)
    client = open_client(section.app(stale_after=10**9, import_new=False))

    def listed(**data: Any) -> str:
        return str(client.post(f"{PREFIX}/import/list", data=data, headers=HTMX).text)

    first = client.get(f"{PREFIX}/import", headers=HTMX).text
    assert "страница 1 из 3" in first and first.count('type="checkbox"') == 100 and " checked" not in first
    asked = len(section.emulator.requests)
    picked = re.findall(r'name="server_ids" value="(\d+)"', first)[:2]
    second = listed(server_ids=picked, page="2")
    assert "страница 2 из 3" in second and "Отмечено: <strong>2</strong>" in second
    assert all(f'type="hidden" name="server_ids" value="{number}"' in second for number in picked)
    everything = listed(server_ids=picked, page="3", pick="new")
    assert "Отмечено: <strong>250</strong>" in everything and everything.count('type="checkbox"') == 50
    assert "Отмечено: <strong>0</strong>" in listed(server_ids=picked, pick="none")
    assert "Ничего не найдено" in listed(q="nothing", server_ids=picked)
    assert len(section.emulator.requests) == asked
    done = client.post(f"{PREFIX}/import", data={"server_ids": picked}, headers=HTMX)
    assert "Импортировано: 2" in done.text and done.headers["HX-Trigger"].startswith("hosting:close")
    assert "в CRM уже есть 2" in client.get(f"{PREFIX}/import", headers=HTMX).text


def test_a_list_that_is_slow_is_shown_while_it_comes(
    section: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_adapter.web.imports._LIST_WAIT", 0)
    section = many(section, 250)
    section.emulator.add_fault({"operation": "getServers", "times": 1, "delay_ms": 1500})
    client = open_client(section.app(stale_after=10**9, import_new=False))
    client.post(f"{PREFIX}/new", data={"server_name": "typed by hand"}, follow_redirects=False)  # the page would start a run
    link = f"{PREFIX}/servers/{section.id_of('typed by hand')}/link"
    for path in (f"{PREFIX}/import", link):
        first = client.get(path, headers=HTMX).text
        assert "Получено серверов: " in first and 'hx-trigger="load delay:1s"' in first
        assert "<option" not in first
    tick = str(section.emulator.state["servers"][200]["id"])
    again: dict[str, Any] = {"url": f"{PREFIX}/import/list", "data": {"server_ids": tick}, "headers": HTMX}
    until(lambda: "В Timeweb 250 серверов" in client.post(**again).text, 20)
    assert "Отмечено: <strong>1</strong>" in client.post(**again).text
    assert client.get(link, headers=HTMX).text.count("<option") == 250


def test_an_import_that_takes_long_is_watched(section: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_adapter.web.context._IMPORT_WAIT", 0)
    client = open_client(section.app(stale_after=10**9, import_new=False))
    ids = re.findall(r'name="server_ids" value="(\d+)"', client.get(f"{PREFIX}/import", headers=HTMX).text)
    begun = client.post(f"{PREFIX}/import", data={"server_ids": ids}, headers=HTMX).text
    assert "Импортировано 0 из 23" in begun and f'hx-get="{PREFIX}/import/progress"' in begun
    refused = client.post(f"{PREFIX}/import", data={"server_ids": ids}, headers=HTMX).text
    assert "уже выполняется" in refused
    until(lambda: "Импортировано: 23" in client.get(f"{PREFIX}/import/progress", headers=HTMX).text, 20)
