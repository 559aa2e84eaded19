"""A day at the desk: nothing typed is lost, the keyboard keeps its place, what was not delivered is sent again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi import Depends, Header
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from playwright.sync_api import Locator, Page, expect

from tests.crm.web.conftest import PREFIX, Open, Section, Sit, too_wide

DEAD = "UPDATE timeweb_event_outbox SET dead_at = '2026-01-01 00:00:00.000000', tries = 8, last_error = 'NotDelivered'"


def focused(page: Page) -> str:
    """Where the keyboard is."""
    return str(
        page.evaluate(
            "document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.tagName"
        )
    )


def right_edges(page: Page) -> tuple[float, float]:
    """Where the table's frame and its first row end."""
    frame, row = page.evaluate(
        "['', ' tbody tr'].map(rest => document.querySelector('.hosting-table' + rest).getBoundingClientRect().right)"
    )
    return float(frame), float(row)


def test_a_sync_that_ends_replaces_nothing_that_is_being_typed(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open()
        page.locator(f"#edit-{number}-client_name").click()
        field = page.get_by_label("Имя клиента", exact=True)
        field.fill("Анна")
        next(server for server in few.emulator.state["servers"] if server["name"] == "staging")["name"] = "staging-2"
        page.get_by_role("button", name="Синхронизация с Timeweb").click()
        expect(page.get_by_text("Синхронизация завершена: обновлено 1")).to_be_visible()
        page.get_by_role("link", name="Проблемы").click()
        expect(page.get_by_text("Сначала сохраните или отмените изменение")).to_be_visible()
        expect(field).to_have_value("Анна")
        expect(field).to_be_focused()
        expect(page.get_by_text("staging-2")).to_have_count(0)
        field.press("Enter")
        expect(page.get_by_text("Сохранено")).to_be_visible()
        expect(page.get_by_text("staging-2")).to_be_visible()
        assert few.query("SELECT client_name FROM hosting_servers WHERE id = :id", id=number) == [("Анна",)]
        desk.assert_quiet()


def test_one_cell_is_edited_at_a_time(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open()
        page.locator(f"#edit-{number}-client_name").click()
        expect(page.get_by_label("Имя клиента", exact=True)).to_be_focused()
        page.locator(f"#edit-{number}-client_price").click()
        price = page.get_by_label("Цена для клиента (₽ за период)")
        expect(price).to_be_focused()
        expect(page.locator(".cell-form")).to_have_count(1)
        price.fill("500")
        page.locator(f"#edit-{number}-client_name").click()
        expect(price).to_be_focused()
        expect(page.locator(".cell-form")).to_have_count(1)
        price.press("Escape")
        expect(page.locator(f"#edit-{number}-client_price")).to_be_focused()
        page.locator(f"#edit-{number}-client_name").click()
        expect(page.get_by_label("Имя клиента", exact=True)).to_be_focused()
        page.get_by_label("Поиск").focus()
        # Leaving a field neither saves nor drops it.
        expect(page.get_by_label("Имя клиента", exact=True)).to_be_visible()
        desk.assert_quiet()


@pytest.mark.parametrize("name", ["project_id", "next_payment_date"])
def test_project_and_date_are_edited_in_their_cells(few: Section, sit: Sit, name: str) -> None:
    number = few.id_of("gitlab")
    value, shown, stored = {
        "project_id": ("7", "№ 7", 7),
        "next_payment_date": ("2027-01-31", "31.01.2027", "2027-01-31 00:00:00.000000"),
    }[name]
    with sit(few.app()) as desk:
        page = desk.open()
        page.locator(f"#edit-{number}-{name}").click()
        page.locator(f"#cell-{name}").fill(value)
        page.keyboard.press("Enter")
        expect(page.locator(f"#edit-{number}-{name}")).to_contain_text(shown)
        expect(page.locator(f"#edit-{number}-{name}")).to_be_focused()
        assert few.query(f"SELECT {name} FROM hosting_servers WHERE id = :id", id=number) == [(stored,)]
        desk.assert_quiet()


def test_a_dialog_over_an_open_cell_keeps_its_own_labels(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open()
        page.locator(f"#edit-{number}-client_price").click()
        page.get_by_role("link", name="Добавить сервер").click()
        page.get_by_role("dialog").get_by_text("Цена для клиента").click()
        assert focused(page) == "field-client_price"
        twice = page.evaluate(
            "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
        )
        assert twice == []


def test_the_keyboard_keeps_its_place_after_every_swap(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open()
        page.on("dialog", lambda dialog: dialog.accept())
        summary = page.locator(f"#server-{number} summary")
        for button, message in (
            ("Оплачено", "Оплата отмечена"),
            ("Выключить автосинхронизацию", "Автосинхронизация выключена"),
            ("Синхронизировать", "Изменений нет"),
            ("Отвязать от Timeweb", "Сервер отвязан"),
        ):
            summary.press("Enter")
            page.locator(f"#server-{number}").get_by_role("button", name=button).press("Enter")
            expect(page.locator("#hosting-toasts")).to_contain_text(message)
            expect(summary).to_be_focused()
        for place in ("#sort-cost", "#view-problems"):
            page.locator(place).press("Enter")
            expect(page).to_have_url(re.compile("sort=cost"))
            expect(page.locator(place)).to_be_focused()
        for name in ("Обновить", "Синхронизация с Timeweb"):
            control = page.get_by_role("link", name=name) if name == "Обновить" else page.get_by_role("button", name=name)
            with page.expect_response(re.compile("hosting")):
                control.press("Enter")
            page.wait_for_timeout(300)
            expect(control).to_be_focused()


def test_the_same_message_does_not_pile_up(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.open()
        few.execute("ALTER TABLE hosting_servers RENAME TO away")
        for _ in range(3):
            with page.expect_response(re.compile("hosting")):
                page.get_by_role("link", name="Обновить").click()
        expect(page.get_by_text("База данных недоступна")).to_have_count(1)
        # What was read stays in view.
        expect(page.locator("tbody tr")).to_have_count(6)


def test_re_reading_also_renews_what_stands_above_the_table(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.open()
        few.execute("UPDATE timeweb_account_state SET error_code = 'cost_unavailable'")
        page.get_by_role("link", name="Обновить").click()
        expect(page.get_by_text("Стоимость недоступна")).to_be_visible()
        desk.assert_quiet()


def test_undelivered_notifications_are_sent_again(few: Section, sit: Sit) -> None:
    few.execute(DEAD)
    count = int(few.query("SELECT COUNT(*) FROM timeweb_event_outbox")[0][0])
    with sit(few.app()) as desk:
        page = desk.open()
        page.get_by_role("link", name="Посмотреть и отправить ещё раз").press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading", name="Недоставленные уведомления")).to_be_focused()
        expect(dialog.locator("tbody tr")).to_have_count(min(count, 100))
        expect(dialog).to_contain_text("NotDelivered")
        dialog.get_by_role("button", name="Отправить ещё раз").press("Enter")
        expect(page.get_by_text(re.compile("Снова в очереди: [0-9]+ уведомлен"))).to_be_visible()
        expect(page.get_by_text("Не доставлено уведомлений")).to_have_count(0)
        desk.assert_quiet()
    assert few.query("SELECT COUNT(*) FROM timeweb_event_outbox WHERE dead_at IS NULL AND tries = 0") == [(count,)]


def test_undelivered_notifications_without_javascript(few: Section, sit: Sit) -> None:
    few.execute(DEAD)
    with sit(few.app()) as desk:
        page = desk.open(java_script_enabled=False)
        page.get_by_role("link", name="Посмотреть и отправить ещё раз").click()
        page.get_by_role("button", name="Отправить ещё раз").click()
        expect(page.get_by_text("Уведомления снова в очереди")).to_be_visible()
        page.goto(f"{desk.address}{PREFIX}/undelivered")
        expect(page.get_by_text("Все уведомления доставлены или ждут отправки.")).to_be_visible()


def test_no_run_is_called_finished_that_is_not(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app(stale_after=10**9))
    synced.execute("UPDATE timeweb_sync_lease SET owner = 'x', expires_ms = 99999999999999, run_id = 1")
    synced.execute("UPDATE timeweb_sync_run SET status = 'running', report = NULL")
    reply = client.post(f"{PREFIX}/sync")
    assert "Синхронизация уже выполняется" in reply.text
    assert "завершена" not in reply.text
    synced.execute("UPDATE timeweb_sync_lease SET owner = NULL, expires_ms = 0")
    for status in ("running", "crashed"):
        synced.execute("UPDATE timeweb_sync_run SET status = :s", s=status)
        watched = client.get(f"{PREFIX}/state?watching=true", headers={"HX-Request": "true"}).text
        assert '<div class="bad">Предыдущая синхронизация прервалась' in watched
        assert "завершена" not in watched


def test_history_calls_an_automatic_run_by_its_name(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE timeweb_change_log SET actor = 'auto'")
    page = open_client(synced.app()).get(f"{PREFIX}/servers/{synced.id_of('gitlab')}/history").text
    assert "<td>синхронизация</td>" in page
    assert "auto" not in page.partition("<tbody>")[2]


def test_servers_that_failed_are_named(synced: Section, open_client: Open) -> None:
    errors = [{"server_id": number, "server_name": f"box-{number}", "error": "не вышло"} for number in range(4)]
    report = json.dumps({"total_processed": 23, "error_count": 4, "errors": errors})
    synced.execute("UPDATE timeweb_sync_run SET report = :r", r=report)
    page = open_client(synced.app(stale_after=10**9)).get(PREFIX).text
    assert "Не удалось обработать: 4 сервера. box-0: не вышло; box-1: не вышло; box-2: не вышло…" in page


@pytest.mark.parametrize("query", ["вкусвилл", "ВКУСВИЛЛ", "кусВ", "STRASSE", "ёлка"])
def test_sqlite_finds_cyrillic_in_any_case(synced: Section, open_client: Open, query: str) -> None:
    synced.execute("UPDATE hosting_servers SET client_name = 'ВкусВилл, Ёлка', notes = 'Straße' WHERE server_name = 'gitlab'")
    rows = open_client(synced.app()).get(f"{PREFIX}/api/servers", params={"q": query}).json()["servers"]
    assert [row["server_name"] for row in rows] == ["gitlab"]


HOST = """<!doctype html><html lang="ru"><head><meta charset="utf-8"><title>CRM</title>
<link rel="stylesheet" href="/host.css"></head>
<body><nav>CRM</nav><main>{% block content %}{% endblock %}</main></body></html>"""
HOST_CSS = """body { display: flex; margin: 0; font: 18px/2 serif } nav { flex: none; width: 240px }
main { flex: 1; min-width: 0 }
a { color: red; font-weight: 900 } button { text-transform: uppercase } table { border: 5px solid green } td { padding: 20px }
h1 { font-size: 60px } ul { list-style: square } input { border: 4px dotted }"""


@pytest.mark.parametrize("width", [1280, 800])
def test_a_host_with_a_sidebar_and_styles_of_its_own(synced: Section, sit: Sit, tmp_path: Path, width: int) -> None:
    base = tmp_path / "base.html"
    base.write_text(HOST, "utf-8")
    app = synced.app(base_template=base)

    @app.get("/host.css")
    def css() -> Response:
        return Response(HOST_CSS, media_type="text/css")

    with sit(app) as desk:
        page = desk.open(viewport={"width": width, "height": 900})
        assert too_wide(page) == []
        frame, row = right_edges(page)
        assert row <= frame
        style = "e => { const s = getComputedStyle(e); return [s.textTransform, s.fontSize, s.borderTopWidth] }"
        assert page.get_by_role("button", name="Синхронизация с Timeweb").evaluate(style) == ["none", "14px", "1px"]
        assert page.locator(".hosting-table table").evaluate("e => getComputedStyle(e).borderTopWidth") == "0px"
        assert page.locator("nav").first.evaluate("e => getComputedStyle(e).fontSize") == "18px", "the host keeps its looks"
        assert desk.outside == []


def test_the_table_stays_in_its_frame(synced: Section, sit: Sit) -> None:
    synced.execute("UPDATE timeweb_server_state SET missing_since = '2026-01-01 00:00:00.000000' WHERE server_id % 2 = 0")
    synced.execute("UPDATE hosting_servers SET client_price = 123456.78, client_name = 'ООО «Ромашка и партнёры»'")
    with sit(synced.app()) as desk:
        page = desk.open()
        for width in (320, 640, 1024, 1240, 1280, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            frame, row = right_edges(page)
            assert row <= frame, width


def test_the_last_menu_is_reached_without_scrolling(synced: Section, sit: Sit) -> None:
    with sit(synced.app()) as desk:
        page = desk.open()
        last = page.locator("tbody tr").last
        last.locator("summary").click()
        menu = last.locator("ul").bounding_box()
        frame = page.locator("#hosting-main").bounding_box()
        assert menu is not None and frame is not None
        assert menu["y"] + menu["height"] <= frame["y"] + frame["height"]


def test_colours_of_ones_own_still_show_the_current_filter(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.open(forced_colors="active")
        outline = "e => getComputedStyle(e).outlineStyle"
        assert page.locator("#view-").evaluate(outline) == "solid"
        assert page.locator("#view-problems").evaluate(outline) == "none"


def test_little_motion_is_none(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.open(reduced_motion="reduce")
        moving = (
            "[...document.querySelectorAll('#hosting *')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
        )
        assert page.evaluate(moving) == 0


def test_a_login_that_a_host_redirects_to_is_shown_whole(few: Section, sit: Sit) -> None:
    class NotLoggedIn(Exception):
        pass

    def require_session(authorization: str = Header(default="")) -> None:
        if authorization != "Bearer admin":
            raise NotLoggedIn

    app = few.app(dependencies=[Depends(require_session)], stale_after=10**9)
    app.add_exception_handler(NotLoggedIn, lambda request, error: RedirectResponse("/login", 303))

    @app.get("/login")
    def login() -> HTMLResponse:
        return HTMLResponse("<title>CRM</title><h1>Вход</h1>")

    with sit(app) as desk:
        for act in ("filter", "row", "dialog"):
            page = desk.open()
            page.context.set_extra_http_headers({"Authorization": ""})
            if act == "row":
                page.locator("tbody tr").first.locator("summary").click()
                page.get_by_role("button", name="Оплачено").first.click()
            else:
                page.get_by_role("link", name="Проблемы" if act == "filter" else "Добавить сервер").click()
            expect(page.get_by_role("heading", name="Вход")).to_be_visible()
            expect(page.get_by_role("table")).to_have_count(0)
            assert page.url == f"{desk.address}/login"


@pytest.mark.parametrize(
    ("hours", "text"), [(71, "хватит на 2 дн."), (24, "хватит на 1 дн."), (23, "хватит меньше чем на день")]
)
def test_how_long_the_balance_lasts(synced: Section, open_client: Open, hours: int, text: str) -> None:
    synced.execute("UPDATE timeweb_account_state SET hours_left = :h", h=hours)
    assert text in open_client(synced.app(stale_after=10**9)).get(PREFIX).text


def test_a_sync_that_ends_does_not_close_a_menu(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app(stale_after=10**9)) as desk:
        page = desk.open()
        menu = page.locator(f"#server-{number}").get_by_role("link", name="История")
        page.locator(f"#server-{number} summary").click()
        few.execute("UPDATE hosting_servers SET server_name = 'gitlab-2' WHERE id = :i", i=number)
        page.evaluate("htmx.trigger(document.body, 'hosting:refresh')")
        expect(menu).to_be_visible()
        expect(page.get_by_text("gitlab-2")).to_have_count(0)
        page.keyboard.press("Escape")
        expect(page.get_by_text("gitlab-2")).to_be_visible()
        expect(page.locator(f"#server-{number} summary")).to_be_focused()
        desk.assert_quiet()


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the keyboard is there; a person would give up long before the limit."""
    for _ in range(80):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {target}")


def test_a_form_is_live_from_the_moment_it_shows(few: Section, sit: Sit) -> None:
    with sit(few.app(stale_after=10**9)) as desk:
        page = desk.open()
        page.evaluate("""() => document.addEventListener("htmx:afterSwap", () => setTimeout(() => {
            const name = document.querySelector("dialog [name=server_name]");
            name.value = "git";
            name.form.requestSubmit();
        }, 0), { once: true })""")
        page.get_by_role("link", name="Добавить сервер").click()
        expect(page.get_by_text("Сервер добавлен")).to_be_visible()
        # Sent by the browser itself, the form would have brought a new page.
        expect(page.get_by_role("link", name="Добавить сервер")).to_be_focused()
        desk.assert_quiet()


def test_every_dialog_works_by_the_keyboard_alone(few: Section, sit: Sit) -> None:
    few.execute("DELETE FROM hosting_servers WHERE server_name IN ('gitlab', 'staging')")
    with sit(few.app()) as desk:
        page = desk.open()
        dialog = page.get_by_role("dialog")

        importing = page.get_by_role("link", name="Импорт из Timeweb")
        tab_to(page, importing)
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("heading", name="Импорт из Timeweb")).to_be_focused()
        tick = dialog.get_by_label("staging")
        tab_to(page, tick)
        page.keyboard.press("Space")
        expect(tick).to_be_checked()
        tab_to(page, dialog.get_by_role("button", name="Импортировать отмеченные"))
        page.keyboard.press("Enter")
        expect(page.get_by_text("Импортировано: 1")).to_be_visible()
        expect(importing).to_be_focused()

        adding = page.get_by_role("link", name="Добавить сервер")
        tab_to(page, adding)
        page.keyboard.press("Enter")
        expect(dialog.get_by_label("Сервер", exact=True)).to_be_focused()
        page.keyboard.type("git")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Сервер добавлен")).to_be_visible()
        expect(dialog).to_be_hidden()
        expect(adding).to_be_focused()

        line = page.locator(f"#server-{few.id_of('git')}")
        tab_to(page, page.get_by_label("Поиск"))
        page.keyboard.type("git")
        expect(page.locator("tbody tr")).to_have_count(1)
        tab_to(page, line.get_by_label("Действия"))
        page.keyboard.press("Enter")
        tab_to(page, line.get_by_role("link", name="Связать с Timeweb…"))
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("heading")).to_be_visible()
        tab_to(page, dialog.get_by_role("button", name="Связать"))
        page.keyboard.press("Enter")
        expect(page.get_by_text("Сервер связан с Timeweb")).to_be_visible()
        assert few.query("SELECT count(*) FROM hosting_servers WHERE timeweb_id IS NULL") == [(0,)]
        desk.assert_quiet()
