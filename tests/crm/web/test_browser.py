"""What people do on the page, in a real browser, under `default-src 'self'`."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.crm.web.conftest import PREFIX, Section, Sit, too_wide


def row(page: Page, name: str) -> object:
    return page.get_by_role("row").filter(has_text=name)


def test_the_first_open_fills_the_page_by_itself(section: Section, sit: Sit) -> None:
    section.emulator.add_fault({"operation": "getServers", "times": 1, "delay_ms": 700})
    with sit(section.app()) as desk:
        page = desk.open()
        expect(page.get_by_text("Загружаем серверы из Timeweb…")).to_be_visible()
        expect(page.get_by_text("Синхронизация завершена: создано 23, обновлено 0, без изменений 0")).to_be_visible()
        expect(page.locator("tbody tr")).to_have_count(23)
        expect(page.get_by_text("Timeweb: 23 сервера · баланс 7\u00a0378,30\u00a0₽", exact=False)).to_be_visible()
        desk.assert_quiet()


def test_a_sync_by_hand_tells_its_outcome(few: Section, sit: Sit) -> None:
    server = next(server for server in few.emulator.state["servers"] if server["name"] == "gitlab")
    server["name"] = "gitlab-2"
    with sit(few.app()) as desk:
        page = desk.open()
        page.get_by_role("button", name="Синхронизация с Timeweb").click()
        expect(page.get_by_text("Синхронизация завершена: обновлено 1, без изменений 5")).to_be_visible()
        expect(page.get_by_text("gitlab-2")).to_be_visible()
        desk.assert_quiet()


def test_a_price_is_edited_in_its_cell(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open()
        page.locator(f"#edit-{number}-client_price").click()
        field = page.get_by_label("Цена для клиента (₽ за период)")
        expect(field).to_be_focused()
        field.fill("много")
        field.press("Enter")
        expect(page.get_by_text("сумма записана неверно; пример: 1 234,50")).to_be_visible()
        expect(field).to_have_value("много")
        field.fill("3 000,50")
        field.press("Enter")
        expect(page.get_by_text("Сохранено")).to_be_visible()
        line = page.locator(f"#server-{number}")
        expect(line).to_contain_text("3\u00a0000,50\u00a0₽")
        expect(line).to_contain_text("1\u00a0484,00\u00a0₽")
        expect(page.locator("#hosting-totals")).to_contain_text("по 1 серверу с ценой")
        expect(page.locator(f"#edit-{number}-client_price")).to_be_focused()
        assert few.query("SELECT client_price FROM hosting_servers WHERE id = :id", id=number) == [(3000.5,)]
        desk.assert_quiet()


def test_escape_leaves_a_cell_as_it_was(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open()
        page.locator(f"#edit-{number}-client_name").press("Enter")
        field = page.get_by_label("Имя клиента", exact=True)
        field.fill("Анна")
        field.press("Escape")
        expect(page.locator(f"#edit-{number}-client_name")).to_be_focused()
        expect(page.locator(f"#server-{number}")).to_contain_text("Не указан")


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_tab_goes_from_cell_to_cell_and_nothing_moves(few: Section, sit: Sit, width: int) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open(viewport={"width": width, "height": 900})
        line = page.locator(f"#server-{number}")
        boxes = "row => [...row.cells].map(cell => [cell.getBoundingClientRect().x, cell.offsetWidth, cell.offsetHeight])"
        before = line.evaluate(boxes)
        page.locator(f"#edit-{number}-client_name").press("Enter")
        field = page.get_by_label("Имя клиента", exact=True)
        expect(field).to_be_focused()
        assert line.evaluate(boxes) == before
        field.fill("Анна")
        field.press("Tab")
        expect(page.get_by_label("Проект", exact=True)).to_be_focused()
        expect(line).to_contain_text("Анна")
        page.keyboard.press("Tab")
        price, fee = page.get_by_label("Цена для клиента (₽"), page.get_by_label("Обслуживание (₽")
        expect(price).to_be_focused()
        assert [box[1] for box in line.evaluate(boxes)] == [box[1] for box in before]
        price.fill("много")
        price.press("Tab")
        fee.press("Tab")
        expect(page.get_by_text("сумма записана неверно")).to_be_visible()
        price.fill("2000")
        price.press("Tab")
        expect(fee).to_be_focused()
        fee.fill("500")
        fee.press("Tab")
        expect(page.get_by_label("Дата следующего платежа", exact=True)).to_be_focused()
        expect(line).to_contain_text("2\u00a0500,00\u00a0₽")
        page.keyboard.press("Shift+Tab")
        expect(price).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator(f"#edit-{number}-client_price")).to_be_focused()
        desk.assert_quiet()
    saved = "SELECT client_name, client_price, service_fee FROM hosting_servers WHERE id = :id"
    assert few.query(saved, id=number) == [("Анна", 2000, 500)]


def test_two_people_who_edit_one_row_are_told_kindly(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        first, second = desk.open(), desk.open()
        for page in (first, second):
            page.locator(f"#edit-{number}-client_name").click()
        first.get_by_label("Имя клиента", exact=True).fill("Анна")
        first.get_by_role("button", name="Сохранить").click()
        expect(first.get_by_text("Сохранено")).to_be_visible()
        second.get_by_label("Имя клиента", exact=True).fill("Борис")
        second.get_by_role("button", name="Сохранить").click()
        alert = second.get_by_role("alert")
        expect(alert).to_contain_text("строку изменил admin: имя клиента — Анна")
        expect(second.get_by_label("Имя клиента", exact=True)).to_have_value("Борис")
        second.get_by_role("button", name="Сохранить").click()
        expect(second.get_by_text("Сохранено")).to_be_visible()
        assert few.query("SELECT client_name FROM hosting_servers WHERE id = :id", id=number) == [("Борис",)]


def test_paying_moves_the_date_once(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    few.execute("UPDATE hosting_servers SET next_payment_date = '2026-01-31 00:00:00.000000' WHERE id = :id", id=number)
    with sit(few.app()) as desk:
        first, second = desk.open(), desk.open()
        for page, date, message in ((first, "28.02.2026", "Оплата отмечена"), (second, "28.02.2026", "Оплату уже отметили")):
            page.locator(f"#server-{number}").get_by_label("Действия: gitlab").click()
            page.locator(f"#server-{number}").get_by_role("button", name="Оплачено").click()
            expect(page.get_by_text(message)).to_be_visible()
            expect(page.locator(f"#server-{number}")).to_contain_text(date)
        first.locator(f"#server-{number}").get_by_label("Действия: gitlab").click()
        first.locator(f"#server-{number}").get_by_role("button", name="Оплачено").click()
        expect(first.locator(f"#server-{number}")).to_contain_text("31.03.2026")


def test_the_import_dialog_shows_what_is_new_known_and_alike(section: Section, sit: Sit) -> None:
    old = next(server for server in section.emulator.state["servers"] if server["name"] == "old-vps")
    address = old["networks"][0]["ips"][0]["ip"]
    section.execute(
        "INSERT INTO hosting_servers"
        " (client_name, server_name, ip_address, start_date, next_payment_date, payment_period, status)"
        " VALUES ('Анна', 'my-vps', :ip, '2026-01-01 00:00:00.000000', '2027-01-01 00:00:00.000000', 'monthly', 'active')",
        ip=address,
    )
    with sit(section.app(stale_after=10**9, import_new=False)) as desk:
        page = desk.page()
        page.goto(f"{desk.address}{PREFIX}/import")
        assert section.query("SELECT COUNT(*) FROM hosting_servers") == [(1,)]
        expect(page.get_by_text("Похоже на “my-vps” (совпал IP)")).to_be_visible()
        page.evaluate("document.querySelectorAll('input:checked').forEach(box => box.click())")
        page.get_by_label("gitlab", exact=True).check()
        page.get_by_label("old-vps", exact=True).check()
        page.get_by_role("button", name="Импортировать отмеченные").click()
        expect(page.locator("tbody tr")).to_have_count(2)
        assert section.query("SELECT timeweb_id FROM hosting_servers WHERE server_name = 'my-vps'") == [(old["id"],)]
        page.get_by_role("link", name="Импорт из Timeweb").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Уже в CRM", exact=True)).to_have_count(2)
        expect(dialog.get_by_text("Новый")).to_have_count(21)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("link", name="Импорт из Timeweb")).to_be_focused()
        desk.assert_quiet()


def test_a_server_is_added_linked_and_unlinked(few: Section, sit: Sit) -> None:
    few.execute("DELETE FROM hosting_servers WHERE server_name = 'gitlab'")
    with sit(few.app()) as desk:
        page = desk.open()
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("link", name="Добавить сервер").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Добавить").click()
        expect(dialog.get_by_text("не может быть пустым")).to_be_visible()
        dialog.get_by_label("Сервер", exact=True).fill("git")
        dialog.get_by_label("Цена для клиента").fill("2 000")
        dialog.get_by_role("button", name="Добавить").click()
        expect(page.get_by_text("Сервер добавлен")).to_be_visible()
        line = page.get_by_role("row").filter(has_text=re.compile(r"^\s*git\s"))
        line.get_by_label("Действия").click()
        line.get_by_role("link", name="Связать с Timeweb…").click()
        dialog.get_by_label("Сервер Timeweb, которого ещё нет в CRM").select_option(index=0)
        dialog.get_by_role("button", name="Связать").click()
        expect(page.get_by_text("Сервер связан с Timeweb")).to_be_visible()
        number = int(few.query("SELECT id FROM hosting_servers WHERE client_price = 2000")[0][0])
        line = page.locator(f"#server-{number}")
        expect(line).to_contain_text("4 CPU / 8GB RAM / 80GB NVMe / Ubuntu 24.04")
        line.get_by_label("Действия").click()
        line.get_by_role("button", name="Отвязать от Timeweb").click()
        expect(line).to_contain_text("не связан с Timeweb")
        line.get_by_label("Действия").click()
        line.get_by_role("link", name="История").click()
        expect(dialog.get_by_role("heading")).to_contain_text("История: ")
        expect(dialog).to_contain_text("admin")
        desk.assert_quiet()


def test_filters_search_sort_and_the_export_follow_each_other(synced: Section, sit: Sit) -> None:
    with sit(synced.app()) as desk:
        page = desk.open()
        page.get_by_role("link", name="Проблемы").click()
        expect(page.locator("tbody tr")).to_have_count(4)
        page.get_by_label("Поиск").type("old")
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page).to_have_url(re.compile(r"q=old"))
        expect(page.get_by_label("Поиск")).to_be_focused()
        with page.expect_download() as download:
            page.get_by_role("link", name="Экспорт CSV").click()
        assert len(download.value.path().read_text("utf-8-sig").splitlines()) == 2
        page.get_by_label("Поиск").fill("nothing like this")
        expect(page.get_by_text("Ничего не найдено")).to_be_visible()
        page.get_by_role("link", name="Сбросить фильтры").click()
        expect(page.locator("tbody tr")).to_have_count(23)
        page.get_by_role("link", name="Себестоимость").click()
        expect(page.get_by_role("columnheader", name="Себестоимость")).to_have_attribute("aria-sort", "ascending")
        page.get_by_role("link", name="Себестоимость").click()
        expect(page.locator("tbody tr").first).to_contain_text("backup-store")
        page.go_back()
        expect(page.locator("tbody tr").first).not_to_contain_text("backup-store")
        desk.assert_quiet()


def test_everything_works_without_javascript(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open(java_script_enabled=False)
        page.locator(f"#edit-{number}-client_price").click()
        page.get_by_label("Цена для клиента").fill("много")
        page.get_by_role("button", name="Сохранить").click()
        expect(page.get_by_text("сумма записана неверно")).to_be_visible()
        page.get_by_label("Цена для клиента").fill("2500")
        page.get_by_role("button", name="Сохранить").click()
        expect(page.get_by_text("Сохранено")).to_be_visible()
        for button, message in (
            ("Оплачено", "Оплата отмечена"), ("Выключить автосинхронизацию", "Сохранено"),
            ("Синхронизировать", "Сервер синхронизирован"), ("Отвязать от Timeweb", "Сервер отвязан"),
        ):  # fmt: skip
            line = page.locator(f"#server-{number}")
            line.get_by_label("Действия").click()
            line.get_by_role("button", name=button).click()
            expect(page.get_by_text(message)).to_be_visible()
        page.get_by_role("button", name="Синхронизация с Timeweb").click()
        expect(page.get_by_text(re.compile("Синхронизация (завершена|запущена)"))).to_be_visible()
        page.get_by_label("Поиск").fill("old")
        page.get_by_role("button", name="Показать").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="Динамика").click()
        expect(page.get_by_role("heading", name="Динамика")).to_be_visible()
        page.goto(f"{desk.address}{PREFIX}/new")
        page.get_by_label("Сервер", exact=True).fill("by-hand")
        page.get_by_role("button", name="Добавить").click()
        expect(page.get_by_text("by-hand", exact=True)).to_be_visible()


def test_the_keyboard_alone_is_enough(few: Section, sit: Sit) -> None:
    number = few.id_of("okna-svet")
    with sit(few.app()) as desk:
        page = desk.open()
        summary = page.locator(f"#server-{number}").get_by_label("Действия")
        for _ in range(60):
            page.keyboard.press("Tab")
            if summary.evaluate("element => element === document.activeElement"):
                break
        expect(summary).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator(f"#server-{number}").get_by_role("button", name="Оплачено")).to_be_visible()
        page.keyboard.press("Escape")
        expect(summary).to_be_focused()
        expect(page.locator(f"#server-{number}").get_by_role("button", name="Оплачено")).to_be_hidden()
        page.keyboard.press("Enter")
        history = page.locator(f"#server-{number}").get_by_role("link", name="История")
        for _ in range(6):
            page.keyboard.press("Tab")
            if history.evaluate("element => element === document.activeElement"):
                break
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_role("heading", name="История: okna-svet")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(summary).to_be_focused()


HOSTILE = (
    '<img src=x onerror="window.hacked=1">"\'<script>window.hacked=1</script>',
    "{{ 7*7 }}${7*7}<svg/onload=window.hacked=1>",
    "javascript:window.hacked=1//' onmouseover='window.hacked=1",
    "\u202egnp.exe\u2066\u0000\u0007",
    "я" * 10_000,
)


def test_hostile_names_are_only_text(synced: Section, sit: Sit) -> None:
    numbers = [number for (number,) in synced.query("SELECT id FROM hosting_servers ORDER BY id")]
    hostile = dict(zip(numbers, HOSTILE, strict=False))
    synced.execute(f"DELETE FROM hosting_servers WHERE id > {max(hostile)}")
    for number, text in hostile.items():
        synced.execute(
            "UPDATE hosting_servers SET server_name = :t, client_name = :t, client_company = :t, configuration = :t,"
            " ip_address = :t, notes = :t, timeweb_status = :t, status = :t, payment_period = :t WHERE id = :id",
            t=text.replace("\u0000", ""),
            id=number,
        )
    queries = [f"?q={quote(text[:20])}&sort=status" for text in HOSTILE]
    queries.append("?status=%22%3E%3Cscript%3Ewindow.hacked%3D1%3C/script%3E&done=%3Cb%3E&run=1")
    forms = [f"/servers/{number}/{path}" for number in hostile for path in ("edit", "history", "link")]
    with sit(synced.app(stale_after=10**9)) as desk:
        page = desk.page()
        for path in (*forms, *queries, ""):
            page.goto(f"{desk.address}{PREFIX}{path}")
            assert page.evaluate("window.hacked") is None, path
        for number in hostile:
            line = page.locator(f"#server-{number}")
            line.hover()
            line.get_by_label("Действия").click()
            assert page.evaluate("window.hacked") is None
            assert "\u202e" not in line.inner_text()
            page.keyboard.press("Escape")
        assert too_wide(page) == []
        desk.assert_quiet()


def test_another_site_cannot_post_for_a_logged_in_person(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    before = few.query("SELECT * FROM hosting_servers")
    with sit(few.app()) as desk:
        page = desk.page()
        target = f"{desk.address}{PREFIX}/servers/{number}/paid"
        form = f'<form method=post action="{target}"><button>go</button></form>'
        page.route("http://evil.example.com/*", lambda route: route.fulfill(content_type="text/html", body=form))
        page.goto("http://evil.example.com/")
        with page.expect_response(target) as response:
            page.get_by_role("button").click()
        assert response.value.status == 403
        assert few.query("SELECT * FROM hosting_servers") == before


def test_a_session_that_ended_reloads_instead_of_showing_a_login_inside_the_table(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.open()
        page.context.set_extra_http_headers({"Authorization": ""})
        page.get_by_role("link", name="Проблемы").click()
        expect(page.get_by_text("Нет доступа: войдите ещё раз").first).to_be_visible()  # the page's own look may fail as well
        expect(page.locator("tbody tr")).to_have_count(6)
