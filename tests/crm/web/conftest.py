"""A host application with its own login around the section, an emulated account behind it, and one browser for all tests."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field as dataclass_field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import uvicorn
from fastapi import Depends, FastAPI, Header, Request
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

from crm_adapter import blocking, migrations
from crm_adapter.web import create_hosting_router
from crm_adapter.web.security import CONTENT_SECURITY_POLICY
from tests.crm.web.worker import require_admin
from tests.databases import own_database
from tests.waiting import until
from timeweb_sdk import AsyncTimeweb, RateLimit, Timeweb
from timeweb_sdk.testing import Emulator, demo_state

TOKEN = "token-of-the-studio"
PREFIX = "/admin/hosting"
#: Milliseconds in which what must come comes on a busy machine too.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)


def who(authorization: str = Header(default="")) -> str:
    return authorization.removeprefix("Bearer ")


@dataclass
class Section:
    """One installation: its database, its account, and ways to change what is there behind the page's back."""

    url: sa.URL
    emulator: Emulator

    @contextmanager
    def engine(self) -> Iterator[sa.Engine]:
        engine = sa.create_engine(self.url.set(drivername="sqlite"))
        try:
            yield engine
        finally:
            engine.dispose()

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine() as engine, engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.engine() as engine, engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement), values)]

    def sync(self) -> None:
        """Fill the database as a scheduled run would."""
        with (
            self.engine() as engine,
            Timeweb(TOKEN, http_client=self.emulator.http_client(), rate_limit=RateLimit.off()) as client,
        ):
            report = blocking.sync_all(sessionmaker(engine), client, only_auto=False)
            assert report.status == "success", report

    def id_of(self, name: str) -> int:
        return int(self.query("SELECT id FROM hosting_servers WHERE server_name = :name", name=name)[0][0])

    def app(self, *, timeweb: bool = True, **options: Any) -> FastAPI:
        """The host's application; the clients live as long as it does."""
        engine = create_async_engine(self.url)
        clients = {"default": self.client()} if timeweb else None

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> Any:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(engine.dispose)
                for client in (clients or {}).values():
                    stack.push_async_callback(client.aclose)
                yield

        app = FastAPI(lifespan=lifespan)
        settings: dict[str, Any] = {"dependencies": [Depends(require_admin)], "actor": who, "prefix": PREFIX} | options
        app.include_router(create_hosting_router(async_sessionmaker(engine, expire_on_commit=False), clients, **settings))
        return app

    def client(self) -> AsyncTimeweb:
        return AsyncTimeweb(TOKEN, http_client=self.emulator.async_http_client(), rate_limit=RateLimit.off(), max_retries=0)


@contextmanager
def filled_database(server_url: str) -> Iterator[sa.URL]:
    """A database of one's own, migrated and filled with the demonstration."""
    with own_database(server_url) as url:
        engine = sa.create_engine(url)
        migrations.upgrade(engine)
        emulator = Emulator(demo_state(), token=TOKEN, rate_limit=False)
        with Timeweb(TOKEN, http_client=emulator.http_client(), rate_limit=RateLimit.off()) as client:
            assert blocking.sync_all(sessionmaker(engine), client, only_auto=False).created_count == 23
        engine.dispose()
        yield url


FEW = {"cvety-spb", "okna-svet", "gitlab", "staging", "backup-store", "old-vps"}


def _account(template: str) -> Emulator:
    state = demo_state()
    if template == "few":
        state["servers"] = [server for server in state["servers"] if server["name"] in FEW]
    return Emulator(state, token=TOKEN, rate_limit=False)


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases that tests copy instead of making them anew."""
    folder = tmp_path_factory.mktemp("databases")
    for name in ("empty", "synced", "few"):
        section = Section(sa.make_url(f"sqlite+aiosqlite:///{folder / name}.sqlite3"), _account(name))
        with section.engine() as engine:
            migrations.upgrade(engine)
        if name != "empty":
            section.sync()
    return folder


def _copy(template: Path, folder: Path) -> Section:
    path = shutil.copy(template, folder / "crm.sqlite3")
    section = Section(sa.make_url(f"sqlite+aiosqlite:///{path}"), _account(template.stem))
    # The template ages while other tests run, and a page that finds data older than 300 s starts a sync.
    section.execute("UPDATE timeweb_account_state SET last_success_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')")
    return section


@pytest.fixture
def section(tmp_path: Path, _templates: Path) -> Section:
    """An installation that was set up and never synchronised."""
    return _copy(_templates / "empty.sqlite3", tmp_path)


@pytest.fixture
def synced(tmp_path: Path, _templates: Path) -> Section:
    """The same with the 23 servers of the demonstration, up to date."""
    return _copy(_templates / "synced.sqlite3", tmp_path)


@pytest.fixture
def few(tmp_path: Path, _templates: Path) -> Section:
    """The same with six of them, in Timeweb too: a browser lays out every row whenever one changes."""
    return _copy(_templates / "few.sqlite3", tmp_path)


Open = Callable[..., TestClient]


@pytest.fixture
def open_client() -> Iterator[Open]:
    """Starts an application in this process and talks to it as the admin."""
    opened: list[TestClient] = []

    def start(app: FastAPI, **headers: str) -> TestClient:
        client = TestClient(app, base_url="https://crm.example.com", headers={"Authorization": "Bearer admin", **headers})
        opened.append(client.__enter__())
        return client

    yield start
    for client in reversed(opened):
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, _templates: Path) -> Section:
    """A synchronised installation for the tests of a module that change nothing."""
    section = _copy(_templates / "synced.sqlite3", tmp_path_factory.mktemp("standing"))
    section.execute("UPDATE hosting_servers SET project_id = 7 WHERE server_name = 'gitlab'")
    return section


@pytest.fixture(scope="module")
def reader(standing: Section) -> Iterator[TestClient]:
    """The admin of `standing`, as long as the module lasts: an application takes longer to build than to ask."""
    app = standing.app(stale_after=10**9, trusted_origins=["https://desk.example.com"])
    with TestClient(app, base_url="https://crm.example.com", headers={"Authorization": "Bearer admin"}) as client:
        yield client


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application on a real socket; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    until(lambda: server.started, 20)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """One Chromium for a module: as long as it lives, Playwright's loop runs and asynchronous tests cannot."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@dataclass
class Desk:
    """A person at a browser in front of one installation."""

    browser: Browser
    address: str
    seen: list[str] = dataclass_field(default_factory=list)
    outside: list[str] = dataclass_field(default_factory=list)

    def page(self, **options: Any) -> Page:
        """A new page, logged in; collects console errors and requests to elsewhere."""
        settings: dict[str, Any] = {"locale": "ru-RU", "viewport": {"width": 1280, "height": 900}} | options
        context = self.browser.new_context(extra_http_headers={"Authorization": "Bearer admin"}, **settings)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda message: self.seen.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.seen.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(self.address) else self.outside.append(request.url))
        return page

    def open(self, path: str = "", **options: Any) -> Page:
        page = self.page(**options)
        page.goto(f"{self.address}{PREFIX}{path}")
        return page

    def assert_quiet(self) -> None:
        """Nothing was blocked, nothing failed, nothing was asked from outside."""
        assert self.seen == []
        assert self.outside == []


Sit = Callable[..., AbstractContextManager[Desk]]


@pytest.fixture
def sit(browser: Browser) -> Sit:
    """Serve an application with the strict policy of the standalone command and sit down before it."""

    @contextmanager
    def at(app: FastAPI) -> Iterator[Desk]:
        @app.middleware("http")
        async def policy(request: Request, handle: Any) -> Any:
            response = await handle(request)
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            return response

        with serving(app) as address:
            desk = Desk(browser, address)
            yield desk
            for context in browser.contexts:
                context.close()

    return at


def too_wide(page: Page) -> list[str]:
    """What sticks out of the window to the right."""
    found: list[str] = page.evaluate(
        """() => {
            const root = document.documentElement;
            if (root.scrollWidth <= root.clientWidth) return [];
            return [...document.querySelectorAll("#hosting *")]
                .filter(e => e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest(".clip"))
                .map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 30)).slice(0, 5);
        }"""
    )
    return found
