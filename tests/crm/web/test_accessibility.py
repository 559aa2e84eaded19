"""Axe finds nothing in any state or dialog, light and dark, wide and narrow; nothing sticks out at any width."""

from __future__ import annotations

from importlib import resources

import pytest
from playwright.sync_api import Page, expect

from tests.crm.web.conftest import PREFIX, Section, Sit, too_wide


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which a package for Playwright carries."""
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


# Where things stand above each other, axe looks at all there is on the page; what a dialog covers was looked at before it.
RUN = """
async ([within, options]) => {
    const isOver = document.querySelector(within).matches(":modal");
    const covered = isOver ? document.querySelectorAll("#hosting > :not(dialog)") : [];
    for (const element of covered) element.style.display = "none";
    const { violations } = await axe.run(within, { ...options, resultTypes: ["violations"] });
    for (const element of covered) element.style.display = "";
    return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)}`);
}
"""


def assert_accessible(page: Page, axe: str, what: str, within: str = "#hosting") -> None:
    """What `within` shows has no fault at any width in either theme; a theme changes nothing but colours."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(axe)
    for width in (390, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for theme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            assert page.evaluate(RUN, [within, options]) == [], f"{what}, {theme}, {width} px"
        assert too_wide(page) == [], f"{what}, {width} px"


@pytest.fixture
def busy(synced: Section) -> Section:
    """A bit of everything: prices, losses, late and due payments, a removed server, a stale cost, a notice."""
    synced.execute("UPDATE hosting_servers SET client_price = 2000, client_name = 'ООО «Ромашка»' WHERE id % 2 = 0")
    synced.execute("UPDATE hosting_servers SET client_price = 100 WHERE id = 16")
    synced.execute("UPDATE hosting_servers SET next_payment_date = '2026-01-01 00:00:00.000000' WHERE id = 2")
    synced.execute("UPDATE hosting_servers SET status = 'overdue', client_company = 'ИП Петров' WHERE id = 4")
    synced.execute("UPDATE hosting_servers SET status = 'closed' WHERE id = 6")
    synced.execute("UPDATE hosting_servers SET payment_period = 'yearly', client_price = 30000 WHERE id = 8")
    synced.execute("UPDATE timeweb_server_state SET removed_at = '2026-01-01 00:00:00.000000' WHERE server_id = 9")
    synced.execute("UPDATE timeweb_server_state SET missing_since = '2026-01-01 00:00:00.000000' WHERE server_id = 11")
    synced.execute("UPDATE timeweb_server_state SET cost_stale = 1, cost_source = 'preset' WHERE server_id = 10")
    synced.execute("UPDATE timeweb_account_state SET error_code = 'cost_unavailable'")
    # One more row of a kind tells nothing new, and axe takes long over each.
    synced.execute("DELETE FROM hosting_servers WHERE id NOT IN (2, 4, 6, 8, 9, 10, 11, 12, 16)")
    del synced.emulator.state["servers"][8:]
    return synced


DIALOG = "#hosting-dialog"


def test_axe_finds_nothing(busy: Section, sit: Sit, axe: str) -> None:
    with sit(busy.app(stale_after=10**9)) as desk:
        page = desk.open(reduced_motion="reduce")
        page.locator("#edit-4-client_price").click()
        page.get_by_label("Цена для клиента (₽ за период)").fill("x")
        page.get_by_role("button", name="Сохранить").click()
        expect(page.get_by_text("сумма записана неверно")).to_be_visible()
        page.locator("#server-12 summary").click()
        expect(page.locator("#server-12 ul")).to_be_visible()
        assert_accessible(page, axe, "the table with a form and a menu", within="html")
        page.keyboard.press("Escape")
        for link in ("Импорт из Timeweb", "Добавить сервер", "Динамика", "Платежи", "По клиентам"):
            page.get_by_role("link", name=link).click()
            expect(page.get_by_role("dialog").get_by_role("heading")).to_be_visible()
            assert_accessible(page, axe, link, within=DIALOG)
            page.keyboard.press("Escape")
        page.goto(f"{desk.address}{PREFIX}?q=nothing")
        assert_accessible(page, axe, "nothing found")


def test_axe_finds_nothing_on_services(synced: Section, sit: Sit, axe: str) -> None:
    """Given a service of each sort of owner; when one is given away by its proposal; then no page has a fault at any width."""
    synced.execute("UPDATE hosting_servers SET client_price = 3000, client_name = 'Анна' WHERE server_name = 'shop'")
    synced.execute("UPDATE timeweb_service SET client_name = 'ООО «Ромашка»' WHERE type = 's3'")
    synced.execute("UPDATE timeweb_service SET gone_since = first_seen_at WHERE type = 'image'")
    with sit(synced.app()) as desk:
        page = desk.open("/services", reduced_motion="reduce")
        page.locator("#service-1 .owner button").click()
        expect(page.get_by_text("Изменено: 1 услуга")).to_be_visible()
        expect(page.locator("#service-1 .owner a")).to_be_visible()
        for path in ("/services", "/services?view=gone", "/services?client=ООО «Ромашка»", "/clients"):
            page.goto(f"{desk.address}{PREFIX}{path}")
            assert_accessible(page, axe, path)
        desk.assert_quiet()


def test_nothing_sticks_out_at_any_width(busy: Section, sit: Sit) -> None:
    with sit(busy.app()) as desk:
        page = desk.open(reduced_motion="reduce")
        for width in (320, 375, 480, 600, 719, 768, 1024, 1279, 1280, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert too_wide(page) == [], width


SUSPICIOUS = (
    '{"total_processed": 0, "accounts": [{"account": "default", "error_code": "suspicious_disappearance",'
    ' "message": "Timeweb вернул 5 серверов вместо 23, пропало 18. Ничего не удалено. Проверьте токен"}]}'
)
STATES: dict[str, tuple[str, ...]] = {
    "running": ("UPDATE timeweb_sync_lease SET owner = 'x', expires_ms = 99999999999999, progress = 12, total = 23",),
    "suspicious": (
        "UPDATE timeweb_account_state SET error_code = 'suspicious_disappearance'",
        f"UPDATE timeweb_sync_run SET status = 'partial', report = '{SUSPICIOUS}'",
    ),
    "crashed": ("UPDATE timeweb_sync_run SET status = 'crashed', report = NULL",),
    "undelivered": ("UPDATE timeweb_event_outbox SET dead_at = '2026-01-01 00:00:00.000000', last_error = 'NotDelivered'",),
    "first run": (
        "DELETE FROM hosting_servers",
        "UPDATE timeweb_sync_lease SET owner = 'x', expires_ms = 99999999999999, progress = 0, total = 0",
    ),
    "empty": ("DELETE FROM hosting_servers",),
    "no database": ("DROP TABLE hosting_servers",),
}


@pytest.mark.parametrize("state", [*STATES, "no token", "no token and no rows"])
def test_axe_finds_nothing_in_any_state(busy: Section, sit: Sit, axe: str, state: str) -> None:
    busy.execute("DELETE FROM hosting_servers WHERE id > 2")  # the table is looked at elsewhere
    for statement in STATES.get(state, STATES["empty"] if state.endswith("no rows") else ()):
        busy.execute(statement)
    with sit(busy.app(stale_after=10**9, timeweb="token" not in state)) as desk:
        page = desk.open(reduced_motion="reduce")
        # Where the table stands below a message, it is the same as ever.
        assert_accessible(page, axe, state, within="#hosting" if page.locator("tbody tr").count() == 0 else "#hosting-state")
        if state == "undelivered":
            page.get_by_role("link", name="Посмотреть и отправить ещё раз").click()
            expect(page.get_by_role("dialog").get_by_role("heading")).to_be_visible()
            assert_accessible(page, axe, state, within=DIALOG)


def test_axe_finds_nothing_in_the_dialogs_of_a_row(busy: Section, sit: Sit, axe: str) -> None:
    busy.execute("UPDATE hosting_servers SET timeweb_id = NULL WHERE id = 2")
    busy.execute("UPDATE timeweb_server_state SET timeweb_id = NULL WHERE server_id = 2")
    with sit(busy.app(stale_after=10**9)) as desk:
        page = desk.open(reduced_motion="reduce")
        dialog = page.get_by_role("dialog")
        for number, name in ((4, "Изменить…"), (4, "История"), (2, "Связать с Timeweb…")):
            page.locator(f"#server-{number} summary").click()
            page.locator(f"#server-{number}").get_by_role("link", name=name).click()
            expect(dialog.get_by_role("heading")).to_be_visible()
            assert_accessible(page, axe, name, within=DIALOG)
            page.keyboard.press("Escape")
        page.locator("#edit-4-client_name").click()
        page.get_by_label("Имя клиента", exact=True).fill("Анна")
        busy.execute("UPDATE hosting_servers SET client_name = 'Пётр' WHERE id = 4")  # somebody else, the same cell
        busy.execute("UPDATE timeweb_server_state SET edit_version = 99 WHERE server_id = 4")
        page.get_by_role("button", name="Сохранить").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert_accessible(page, axe, "a conflict", within="#server-4")
        for path in ("/new", "/import", "/servers/4/edit", "/servers/999/edit"):
            page.goto(f"{desk.address}{PREFIX}{path}")
            assert_accessible(page, axe, path)
