"""What is asked before anything is done: bodies behind the login, and a look from another site that starts nothing."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser

from crm_adapter.web.bodies import LIMIT
from tests.crm.web.conftest import PREFIX, Open, Section, serving
from tests.waiting import until

JSON = {"Content-Type": "application/json"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:80.0) Gecko/20100101 Firefox/80.0"
UNSAFE = (
    ("PATCH", "/api/server/1"),
    ("POST", "/api/server"),
    ("POST", "/api/timeweb/import"),
    ("POST", "/new"),
    ("POST", "/import"),
    ("POST", "/servers/1/edit"),
)


@pytest.mark.parametrize(("method", "path"), UNSAFE)
def test_the_login_is_asked_before_the_body_is_read(reader: TestClient, method: str, path: str) -> None:
    """A body that is no JSON would answer 422, and one that is too large 413, had anybody looked at it."""
    for body in (b"{", b"[" + b"1," * LIMIT + b"1]"):
        reply = reader.request(method, f"{PREFIX}{path}", content=body, headers={**JSON, "Authorization": ""})
        assert reply.status_code == 401


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(("over", "status"), [(0, 422), (1, 413)])
@pytest.mark.parametrize(("method", "path"), UNSAFE[:3])
def test_a_body_is_bounded(reader: TestClient, method: str, path: str, over: int, status: int, announced: bool) -> None:
    """At its announced length, and where none is announced as it comes."""
    body = b'"' + b"x" * (LIMIT - 2 + over) + b'"'

    def pieces() -> Iterator[bytes]:
        yield body[: LIMIT // 2]
        yield body[LIMIT // 2 :]

    content = body if announced else pieces()
    reply = reader.request(method, f"{PREFIX}{path}", content=content, headers=JSON)
    assert (reply.status_code, reply.json()["success"]) == (status, False)


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
def test_a_form_is_bounded(synced: Section, open_client: Open, over: int, status: int) -> None:
    form = b"notes=" + b"x" * (LIMIT - 6 + over)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = open_client(synced.app()).post(f"{PREFIX}/new", content=form, headers=headers)
    assert reply.status_code == status


def test_the_hosts_own_api_page_shows_what_a_body_holds(synced: Section) -> None:
    paths = synced.app().openapi()["paths"]
    body = paths[f"{PREFIX}/api/server/{{row_id}}"]["patch"]["requestBody"]["content"]["application/json"]["schema"]
    assert "client_price" in body["properties"]


@pytest.mark.parametrize(
    ("headers", "starts"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"User-Agent": FIREFOX, "Referer": f"https://crm.example.com{PREFIX}"}, True),
        ({"User-Agent": FIREFOX, "Referer": "https://elsewhere.example.com/"}, False),
        ({"User-Agent": FIREFOX, "Referer": "http://[bad"}, False),
        ({"User-Agent": FIREFOX}, False),
        ({"User-Agent": "python-httpx/1"}, True),
    ],
)
def test_a_look_from_another_site_starts_nothing_and_asks_nothing(
    section: Section, open_client: Open, headers: dict[str, str], starts: bool
) -> None:
    client = open_client(section.app())
    assert client.get(PREFIX, headers=headers).status_code == 200
    for path in ("/import", "/api/timeweb/servers"):
        assert client.get(f"{PREFIX}{path}", headers=headers).status_code == (200 if starts else 403)
    if starts:
        until(lambda: section.query("SELECT count(*) FROM timeweb_sync_run WHERE finished_at IS NOT NULL") == [(1,)], 20)
    else:
        assert section.query("SELECT count(*) FROM timeweb_sync_run") == [(0,)]
        assert not section.emulator.requests


@contextmanager
def site(markup: str) -> Iterator[str]:
    """A site that is not ours, at another host name."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            body = markup.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_an_image_tag_on_another_site_imports_nothing(section: Section, browser: Browser) -> None:
    """In a real browser, without any login of the host in the way, as on the standalone page."""
    asked = threading.Event()
    app = section.app(dependencies=[lambda: asked.set()])
    with serving(app) as address, site(f'<img src="{address}{PREFIX}">') as elsewhere:
        page = browser.new_page()
        page.goto(elsewhere)
        assert asked.wait(20)
        page.context.close()
    assert section.query("SELECT count(*) FROM timeweb_sync_run") == [(0,)]
    assert not section.emulator.requests


@pytest.mark.parametrize("origin", ["http://[bad", "null", "https://[::1", "https://crm.example.com.evil.example.com"])
def test_an_origin_that_is_no_address_is_another_site(reader: TestClient, origin: str) -> None:
    reply = reader.post(f"{PREFIX}/api/timeweb/sync-all", headers={"Origin": origin})
    assert (reply.status_code, reply.json()["code"]) == (403, "cross_origin")


@pytest.mark.parametrize(
    ("trusted", "ancestors", "older"),
    [((), "'self'", "SAMEORIGIN"), (("https://panel.example.com/",), "'self' https://panel.example.com", None)],
)
def test_only_the_host_and_whom_it_trusts_may_frame_the_page(
    synced: Section, open_client: Open, trusted: tuple[str, ...], ancestors: str, older: str | None
) -> None:
    headers = open_client(synced.app(trusted_origins=trusted)).get(PREFIX).headers
    assert headers["content-security-policy"] == f"frame-ancestors {ancestors}"
    assert headers.get("x-frame-options") == older


@pytest.mark.parametrize(
    "path", ["", "/api/stats", "/api/servers", "/export.csv", "/dynamics.svg", "/api/server/0", "/static/hosting.css"]
)
def test_no_reply_may_be_sniffed(reader: TestClient, path: str) -> None:
    reply = reader.get(f"{PREFIX}{path}")
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_no_cell_is_a_formula_whatever_the_reader_takes_for_the_separator(
    synced: Section, open_client: Open, separator: str
) -> None:
    hostile = 'x,=1+1;=2+2\t=3+3\n=4+4\r\n@5",=6+6,"=7+7'
    synced.execute("UPDATE hosting_servers SET notes = :text, client_name = :text", text=hostile)
    text = open_client(synced.app()).get(f"{PREFIX}/export.csv").content.decode("utf-8-sig")
    for row in csv.reader(io.StringIO(text), delimiter=separator):
        for cell in row:
            assert not cell.lstrip(" \"'").startswith(("=", "+", "@")) or cell.lstrip(' "').startswith("'"), cell


@pytest.mark.parametrize(
    "path", ["", "/state", "/dynamics.svg", "/static/hosting.css", "/api/servers", "/export.csv", "/servers/999/edit"]
)
def test_head_is_answered_as_get(reader: TestClient, path: str) -> None:
    asked, told = reader.head(PREFIX + path), reader.get(PREFIX + path)
    assert (asked.status_code, asked.headers["content-type"]) == (told.status_code, told.headers["content-type"])
    assert reader.head(PREFIX + path, headers={"Authorization": ""}).status_code == 401
    assert reader.head(f"{PREFIX}/sync").status_code == 405
