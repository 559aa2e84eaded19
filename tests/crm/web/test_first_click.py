"""What somebody does right after typing, and while the page refreshes itself: no click is lost, no focus is hidden."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.crm.web.conftest import PREFIX, Desk, Section, Sit

TYPED = re.compile(r"q=o\b")
FOCUS = """async () => {
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const element = document.activeElement;
    if (element === document.body) return null;
    const box = element.getBoundingClientRect();
    const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    const seen = box.width >= 8 && box.height >= 8 && at !== null && (element.contains(at) || at.contains(element));
    return [element.id || element.outerHTML.slice(0, 80), seen];
}"""


def type_then_click(desk: Desk, page: Page, pause: int, selector: str) -> None:
    page.goto(f"{desk.address}{PREFIX}")
    page.get_by_label("Поиск").press_sequentially("o")
    page.wait_for_timeout(pause)
    page.locator(selector).click()


def assert_quiet(desk: Desk) -> None:
    """A click takes the place of the search that it overtakes; htmx tells of the aborted request in two lines."""
    desk.seen[:] = [line for line in desk.seen if not line.startswith(("htmx:afterRequest", "htmx:sendAbort"))]
    desk.assert_quiet()


@pytest.mark.parametrize("pause", [0, 500])
def test_the_first_click_after_typing_is_not_lost(few: Section, sit: Sit, pause: int) -> None:
    """Before the search has left, and after its answer."""
    number = few.id_of("old-vps")
    with sit(few.app()) as desk:
        page = desk.page()
        for selector, url in (("#view-unpriced", r"view=unpriced"), ("#sort-cost", r"sort=cost")):
            type_then_click(desk, page, pause, selector)
            expect(page).to_have_url(re.compile(url))
            expect(page).to_have_url(TYPED)
            expect(page.locator("#hosting-q")).to_have_value("o")
        type_then_click(desk, page, pause, f"#edit-{number}-client_name")
        field = page.get_by_label("Имя клиента", exact=True)
        expect(field).to_be_focused()
        page.wait_for_timeout(600)
        expect(field).to_be_focused()
        field.press("Escape")
        expect(page).to_have_url(TYPED)
        type_then_click(desk, page, pause, f"#server-{number} summary")
        page.wait_for_timeout(600)
        expect(page.locator(f"#server-{number} details.menu")).to_have_attribute("open", "")
        page.keyboard.press("Escape")
        expect(page).to_have_url(TYPED)
        assert_quiet(desk)


def test_the_next_page_after_typing_is_that_of_what_was_typed(few: Section, sit: Sit) -> None:
    few.execute(
        "INSERT INTO hosting_servers"
        " (client_name, server_name, start_date, next_payment_date, payment_period, status)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)"
        " SELECT 'Анна', 'zoo-' || i, '2026-01-01 00:00:00.000000', '2031-01-01 00:00:00.000000', 'monthly', 'active' FROM n"
    )
    with sit(few.app()) as desk:
        page = desk.page()
        type_then_click(desk, page, 0, "#hosting-next")
        expect(page).to_have_url(TYPED)
        expect(page.locator("#hosting-q")).to_have_value("o")
        assert_quiet(desk)


def test_one_search_is_one_step_back(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.open()
        before = page.evaluate("history.length")
        page.get_by_label("Поиск").press_sequentially("old")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.keyboard.press("Tab")
        page.wait_for_timeout(500)
        assert page.evaluate("history.length") == before + 1
        page.locator("#hosting-reload").click()
        expect(page.locator("tbody tr")).to_have_count(1)


def test_a_refresh_that_arrives_under_a_click_waits(few: Section, sit: Sit) -> None:
    number = few.id_of("gitlab")
    with sit(few.app()) as desk:
        page = desk.open()
        # A swap that comes at the worst moment: the button is down, and not yet up.
        for selector, done in (("#view-problems", r"view=problems"), ("#sort-name", r"sort=name")):
            page.goto(f"{desk.address}{PREFIX}")
            page.locator(selector).hover()
            page.evaluate("htmx.trigger(document.body, 'hosting:refresh')")
            page.mouse.down()
            page.wait_for_timeout(500)
            page.mouse.up()
            expect(page).to_have_url(re.compile(done))
        page.goto(f"{desk.address}{PREFIX}")
        few.execute("UPDATE hosting_servers SET server_name = 'gitlab-2' WHERE id = :id", id=number)
        page.locator(f"#server-{number} summary").hover()
        page.mouse.down()
        page.evaluate("htmx.trigger(document.body, 'hosting:refresh')")
        page.wait_for_timeout(300)
        page.mouse.up()
        expect(page.locator(f"#server-{number} details.menu")).to_have_attribute("open", "")
        page.keyboard.press("Escape")
        expect(page.get_by_text("gitlab-2", exact=True)).to_be_visible()
        desk.assert_quiet()


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_the_focus_is_visible_and_the_table_can_be_sorted(few: Section, sit: Sit, width: int) -> None:
    with sit(few.app()) as desk:
        page = desk.open(viewport={"width": width, "height": 900})
        met: dict[str, bool] = {}
        for _ in range(45):
            page.keyboard.press("Tab")
            if (found := page.evaluate(FOCUS)) is not None:
                met[found[0]] = found[1]
        assert {"hosting-q", "view-overdue", "sort-name", "sort-margin", "sort-date"} <= met.keys()
        assert [name for name, seen in met.items() if not seen] == []
        page.locator("#sort-margin").click()
        expect(page).to_have_url(re.compile("sort=margin"))
        expect(page.get_by_role("columnheader", name="Маржа")).to_have_attribute("aria-sort", "ascending")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
