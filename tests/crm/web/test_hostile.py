"""What nobody sends by the page: broken bodies, odd numbers, other sites, text that would like to act."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import expect

from tests.crm.web.conftest import PREFIX, Open, Section, Sit, serving
from tests.crm.web.test_api import filled, walk

ODD_NUMBERS = ("²", "٣", "9" * 5000, "-1", "1e3", "")
MARKUP = '"><img src=x onerror="window.hacked=1">\u202e<script>window.hacked=1</script>'


def submit(client: TestClient, path: str, **form: Any) -> int:
    return client.post(f"{PREFIX}{path}", data=form, follow_redirects=False).status_code


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_an_odd_number_in_a_form_is_no_number(synced: Section, open_client: Open, number: str) -> None:
    client, row = open_client(synced.app()), synced.id_of("gitlab")
    before = synced.query("SELECT id, timeweb_id FROM hosting_servers")
    assert submit(client, "/import", server_ids=number) == 200
    assert submit(client, f"/servers/{row}/link", target=f"{number}@default") == 200
    assert submit(client, f"/servers/{row}/edit", edit_version=number, notes="x") == 303
    assert synced.query("SELECT id, timeweb_id FROM hosting_servers") == before


def test_a_large_account_is_imported_in_one_form(section: Section, open_client: Open) -> None:
    client = open_client(section.app(stale_after=10**9))
    ids = [str(number) for number in range(1, 1500)]
    reply = client.post(f"{PREFIX}/import", data={"server_ids": [*ids, "4100113"]}, follow_redirects=False)
    assert reply.status_code == 200
    assert "gitlab: импортирован" in reply.text


@pytest.mark.parametrize("body", [b'{"server_name":"\xff"}', b"[" * 100_000, b"{"])
def test_a_body_that_cannot_be_read_is_told_in_our_form(reader: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = reader.post(f"{PREFIX}/api/server", content=body, headers=headers)
    assert reply.status_code in {400, 422}
    assert reply.json() | {"error": "", "detail": ""} == {"success": False, "code": "validation", "error": "", "detail": ""}
    assert reply.json()["detail"] == reply.json()["error"]
    assert re.fullmatch(r"[^a-zA-Z]*(JSON)?", reply.json()["error"]), "people read it"


@pytest.mark.parametrize("value", ["[]", '"x"', '{"client_price": NaN}', '{"client_price": 1e999}', '{"client_price": []}'])
def test_wrong_json_is_explained_in_russian(standing: Section, reader: TestClient, value: str) -> None:
    reply = reader.patch(
        f"{PREFIX}/api/server/{standing.id_of('gitlab')}", content=value, headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.json()["code"]) == (422, "validation")
    assert not re.search("[a-z]{3}", reply.json()["error"].replace("client_price", ""))


def test_a_form_that_cannot_be_read_is_a_page(synced: Section, open_client: Open) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=a"}
    reply = open_client(synced.app()).post(f"{PREFIX}/servers/1/paid", content=b"xx", headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "Тело запроса не читается" in reply.text


def test_ids_are_64_bits_wide_and_may_come_as_text(synced: Section, open_client: Open) -> None:
    client, row = open_client(synced.app()), synced.id_of("gitlab")
    path = f"{PREFIX}/api/server/{row}"
    for number, status in ((5_000_000_000, 200), ("5000000001", 200), (2**63, 422), ("x", 422)):
        assert client.patch(path, json={"client_telegram_id": number}).status_code == status, number
    assert client.get(path).json()["server"]["client_telegram_id"] == 5_000_000_001
    known = client.post(f"{PREFIX}/api/timeweb/import", json={"server_ids": ["4100113", 2**63, 2**70, -1]}).json()
    assert (known["imported"], known["error_count"], known["errors"][0]["code"]) == ([], 4, "already_imported")


@pytest.mark.parametrize("name", ["%00", "a" * 5000, "vendor", "hosting.css/", "HOSTING.CSS", "icons/../hosting.css", "\\x"])
def test_only_known_names_are_static_files(reader: TestClient, name: str) -> None:
    reply = reader.get(f"{PREFIX}/static/{name}")
    assert reply.status_code == (200 if reply.request.url.path == f"{PREFIX}/static/hosting.css" else 404)


def test_a_redirect_never_leaves_the_page(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    for query in ("?done=//evil.example.com", "?done=https://evil.example.com&run=//x", "?run=9", "?done=saved%0d%0aX: y"):
        reply = client.post(f"{PREFIX}/servers/{synced.id_of('gitlab')}/auto{query}", follow_redirects=False)
        assert reply.headers["location"].split("&undo=")[0] == f"{PREFIX}?done=saved"
        assert "evil" not in client.get(f"{PREFIX}{query}").text.replace("evil.example.com&amp;", "")
    assert client.get(f"{PREFIX}").cookies == {}


def test_no_method_without_login_gives_anything(synced: Section, open_client: Open) -> None:
    app, routes = walk(synced)
    client = open_client(app, Authorization="")
    paths = {filled(path) for _, path in routes}
    assert len(paths) > 20
    for path in paths:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
            reply = client.request(method, path)
            assert reply.status_code in {401, 405}, (method, path)
            assert len(reply.content) < 60


def test_another_site_cannot_put_the_page_into_a_frame(synced: Section, open_client: Open) -> None:
    assert open_client(synced.app()).get(PREFIX).headers["x-frame-options"] == "SAMEORIGIN"
    trusting = open_client(synced.app(trusted_origins=["https://desk.example.com"])).get(PREFIX)
    assert "x-frame-options" not in trusting.headers


def test_replies_are_kept_by_no_cache(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    for path in ("", "/api/servers", "/api/stats", "/api/timeweb/servers", "/export.csv", "/dynamics.svg"):
        assert client.get(f"{PREFIX}{path}").headers["cache-control"] == "no-store", path


def test_no_column_of_the_csv_is_a_formula(synced: Section, open_client: Open) -> None:
    columns = ("server_name", "status", "timeweb_status", "configuration", "ip_address", "client_name", "client_company",
               "payment_period", "notes")  # fmt: skip
    row = synced.id_of("gitlab")
    synced.execute(f"UPDATE hosting_servers SET {', '.join(f'{name} = :t' for name in columns)} WHERE id = :i", t="=1+1", i=row)
    synced.execute("UPDATE timeweb_server_state SET account = :t, cost_source = :t WHERE server_id = :i", t="@SUM(A1)", i=row)
    text = open_client(synced.app()).get(f"{PREFIX}/export.csv").content.decode("utf-8-sig")
    cells = next(line for line in csv.reader(io.StringIO(text), delimiter=";") if line[0] == str(row))
    assert sum(cell.startswith("'=1+1") for cell in cells) == len(columns)
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]


def test_text_of_accounts_runs_and_the_log_is_only_text(few: Section, sit: Sit) -> None:
    row = few.id_of("gitlab")
    report = {
        "accounts": [{"account": MARKUP, "error_code": "unauthorized", "message": MARKUP}],
        "warnings": [{"account": MARKUP, "code": "x", "message": MARKUP}],
        "errors": [{"server_id": 1, "server_name": MARKUP, "error": MARKUP}],
        "error_count": 1,
    }
    few.execute("UPDATE timeweb_account_state SET account = :t, error_code = 'unauthorized'", t=MARKUP)
    few.execute("UPDATE timeweb_server_state SET account = :t WHERE server_id = :i", t=MARKUP, i=row)
    few.execute("UPDATE timeweb_sync_run SET status = 'failed', report = :r", r=json.dumps(report))
    few.execute(
        "UPDATE timeweb_change_log SET field = :t, old = :t, new = :t, actor = :t WHERE server_id = :i", t=MARKUP, i=row
    )
    few.execute(
        "UPDATE timeweb_event_outbox SET dead_at = '2026-01-01 00:00:00.000000', last_error = :t, payload = :p",
        t=MARKUP, p=json.dumps({"name": MARKUP}),
    )  # fmt: skip
    with sit(few.app(stale_after=10**9)) as desk:
        page = desk.open()
        for path in ("", "?account=x", "?run=1", f"/servers/{row}/history", "/undelivered", "/state?watching=true"):
            page.goto(f"{desk.address}{PREFIX}{path}")
            assert page.evaluate("window.hacked") is None
            assert "\u202e" not in page.content()
        assert [text for text in desk.seen if "404" not in text] == []


def test_another_site_reaches_no_unsafe_route(synced: Section, sit: Sit) -> None:
    """By a form, by fetch with and without CORS, with the person's login attached to every request."""
    app, routes = walk(synced)
    unsafe = [(method, filled(path)) for method, path in routes if method not in {"GET", "HEAD"}]
    assert len(unsafe) > 12
    tables = ("hosting_servers", "timeweb_sync_run", "timeweb_change_log", "timeweb_event_outbox")
    before = [synced.query(f"SELECT * FROM {table}") for table in tables]
    # Another name of this machine is another site; what is elsewhere may not even fetch from it.
    with sit(app) as desk, serving(FastAPI()) as elsewhere:
        evil = elsewhere.replace("127.0.0.1", "localhost")
        page = desk.page()
        statuses: list[tuple[str, int]] = []
        page.on("response", lambda r: statuses.append((r.url, r.status)) if r.request.method != "GET" else None)
        page.goto(evil)
        page.evaluate(
            """async (targets) => {
                const body = new URLSearchParams({server_ids: "4100113", expected_date: ""});
                for (const [method, url] of targets)
                    for (const options of [{mode: "no-cors", method: "POST", body}, {mode: "cors", method, body}])
                        await fetch(url, {credentials: "include", ...options}).catch(() => {});
            }""",
            [[method, f"{desk.address}{path}"] for method, path in unsafe],
        )
        for path in ("/sync", "/api/timeweb/sync-all", "/servers/1/paid"):
            page.goto(evil)
            page.set_content(f'<form method="post" action="{desk.address}{PREFIX}{path}"><button>go</button></form>')
            with page.expect_navigation():
                page.get_by_role("button").click()
        refused = {status for _, status in statuses}
        assert refused <= {403, 405}, refused
        reached = {url.removeprefix(desk.address) for url, status in statuses if status == 403}
        assert reached == {path for method, path in unsafe if method == "POST"}, "PATCH already fails at its preflight"
    assert [synced.query(f"SELECT * FROM {table}") for table in tables] == before


def test_a_page_in_a_foreign_frame_stays_empty(few: Section, sit: Sit) -> None:
    with sit(few.app()) as desk:
        page = desk.page()
        frame = f'<iframe src="{desk.address}{PREFIX}"></iframe>'
        page.route("http://evil.example.com/*", lambda route: route.fulfill(content_type="text/html", body=frame))
        page.goto("http://evil.example.com/")
        page.wait_for_load_state("networkidle")
        expect(page.frame_locator("iframe").get_by_text("Хостинг")).to_have_count(0)
