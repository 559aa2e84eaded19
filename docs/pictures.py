"""Take the pictures of README and docs anew: the demonstration in Chromium. `nox -s pictures`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
LARGEST = 250_000
"""Bytes of a picture: they are part of the repository for good."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


def link(name: str) -> Callable[[Page], None]:
    """Open a dialog and wait until it is there."""

    def act(page: Page) -> None:
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("dialog").get_by_role("heading").wait_for()

    return act


def following(page: Page) -> None:
    """Turn to the next month, which always has payments."""
    page.get_by_role("link", name="→").click()
    page.get_by_text("Ожидается").wait_for()


def cell(page: Page) -> None:
    """Open a price."""
    page.locator("a.edit[id$=client_price]").nth(1).click()
    page.locator(".cell-form").wait_for()


def tick(page: Page) -> None:
    """Tick three rows and come to what can be done to them."""
    for place in range(3):
        page.get_by_role("checkbox").nth(place).check()
    page.locator("#hosting-bulk").scroll_into_view_if_needed()


PICTURES: dict[str, tuple[int, str, str, Callable[[Page], None] | None]] = {
    "hosting-light": (1440, "light", "", None),
    "hosting-dark": (1440, "dark", "", None),
    "hosting-phone": (390, "light", "", None),
    "hosting-phone-dark": (390, "dark", "", None),
    "hosting-cell": (1440, "light", "", cell),
    "hosting-several": (1440, "light", "?view=unpriced", tick),
    "hosting-payments": (1440, "light", "/payments", following),
    "hosting-clients": (1440, "dark", "", link("По клиентам")),
    "hosting-dynamics": (1440, "light", "", link("Динамика")),
    "hosting-import": (1440, "light", "", link("Импорт из Timeweb")),
}
"""Name -> width, theme, what is opened, what is done there."""


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def take(address: str, names: list[str]) -> None:
    """Take the named pictures; a large one is an error."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in names:
            width, theme, path, act = PICTURES[name]
            settings: dict[str, Any] = {"locale": "ru-RU", "color_scheme": theme, "viewport": {"width": width, "height": 860}}
            context = browser.new_context(**settings)
            page = context.new_page()
            page.goto(address + path)
            if act is not None:
                act(page)
            page.wait_for_timeout(400)
            target = FOLDER / f"{name}.png"
            page.screenshot(path=target)
            context.close()
            if target.stat().st_size > LARGEST:
                raise SystemExit(f"{target.name} has {target.stat().st_size} bytes, more than {LARGEST}")
        browser.close()


def main() -> None:
    """Serve the demonstration, take pictures of all or of the named."""
    port = free_port()
    code = "import sys; from crm_adapter.cli import main; sys.exit(main(sys.argv[1:]))"
    with tempfile.TemporaryDirectory() as folder:
        command = ["serve", "--demo", "--no-link", "--port", str(port), "--database", str(Path(folder) / "demo.sqlite3")]
        server = subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            server.stdout.readline()  # the address is printed when the port is open
            take(f"http://127.0.0.1:{port}/hosting", sys.argv[1:] or list(PICTURES))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
