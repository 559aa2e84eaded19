"""Two people at one row, several rows at once, and taking back what was just done."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Request
from playwright.sync_api import expect

from tests.crm.web.conftest import PREFIX, Open, Section, Sit
from tests.crm.web.test_statements import statements

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


def test_ticking_applying_and_taking_back_at_the_desk(synced: Section, sit: Sit) -> None:
    with sit(synced.app()) as desk:
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
        assert column(synced, "status", synced.id_of("gitlab")) == ["active"]


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
        dialog.get_by_role("button", name="Выбрать новые").click()
        dialog.get_by_role("searchbox").fill("")
        assert dialog.locator("input:checked").count() == 1
        dialog.get_by_role("button", name="Выбрать новые").click()
        assert dialog.locator("input:checked").count() == 23
        dialog.get_by_role("button", name="Снять все").click()
        assert dialog.locator("input:checked").count() == 0
        desk.assert_quiet()
