"""Every state of the page: what is broken, what is old, what is not known."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from crm_adapter.web import charts
from tests.crm.web.conftest import PREFIX, TOKEN, Open, Section


def test_no_token(section: Section, synced: Section, open_client: Open) -> None:
    page = open_client(synced.app(timeweb=False)).get(PREFIX).text
    assert "Timeweb API token не настроен" in page
    assert "gitlab" in page


def test_no_token_and_no_rows(section: Section, open_client: Open) -> None:
    page = open_client(section.app(timeweb=False)).get(PREFIX).text
    assert "Серверов пока нет" in page
    assert "TIMEWEB_API_TOKEN" in page


def test_nothing_in_the_account(section: Section, open_client: Open) -> None:
    client = open_client(section.app(stale_after=10**9))
    section.emulator.load({})
    client.post(f"{PREFIX}/api/timeweb/sync-all")
    page = client.get(PREFIX).text
    assert "Серверов пока нет" in page
    assert "Импорт из Timeweb" in page


def test_a_bad_token(synced: Section, open_client: Open) -> None:
    synced.emulator.add_fault({"operation": "getServers", "times": 99, "status": 401, "body": ""})
    client = open_client(synced.app())
    assert client.post(f"{PREFIX}/api/timeweb/sync-all").json()["success"] is False
    page = client.get(PREFIX).text
    assert '<p class="notice bad">Токен недействителен или истёк. Создайте новый токен в панели' in page
    assert "gitlab" in page
    synced.execute("DELETE FROM hosting_servers")
    empty = client.get(PREFIX).text.partition('id="hosting-main"')[2]
    assert "Timeweb не принимает токен. Создайте новый" in empty and "Импорт из Timeweb" not in empty


def test_timeweb_is_away(synced: Section, open_client: Open) -> None:
    synced.emulator.add_fault({"operation": "getServers", "times": 99, "status": 502, "body": "<html>"})
    client = open_client(synced.app())
    client.post(f"{PREFIX}/api/timeweb/sync-all")
    assert "Timeweb не отвечает, данные на " in client.get(PREFIX).text


def test_costs_are_forbidden(synced: Section, open_client: Open) -> None:
    synced.emulator.add_fault({"operation": "getServicePrices", "times": 99, "status": 403, "body": "{}"})
    client = open_client(synced.app())
    body = client.post(f"{PREFIX}/api/timeweb/sync-all").json()
    assert (body["success"], body["status"], body["error_code"]) == (True, "partial", "cost_unavailable")
    page = client.get(PREFIX).text
    assert "Стоимость недоступна" in page
    assert "устарела" in page


def test_many_servers_vanish_at_once(synced: Section, open_client: Open) -> None:
    del synced.emulator.state["servers"][5:]
    client = open_client(synced.app())
    client.post(f"{PREFIX}/api/timeweb/sync-all")
    page = client.get(PREFIX).text
    assert "Timeweb вернул 5 серверов вместо 23" in page
    assert "Ничего не удалено. Проверьте токен" in page
    assert "удалён в Timeweb</span>" not in page


def test_one_server_was_deleted(synced: Section, open_client: Open) -> None:
    synced.emulator.state["servers"].pop()
    client = open_client(synced.app())
    client.post(f"{PREFIX}/api/timeweb/sync-all")
    page = client.get(f"{PREFIX}?view=removed").text
    assert "удалён в Timeweb</span>" in page
    assert "old-vps" in page


def test_a_run_is_watched_and_its_end_re_reads_the_table(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE timeweb_sync_lease SET owner = 'x', expires_ms = 99999999999999, progress = 12, total = 23")
    client = open_client(synced.app())
    page = client.get(PREFIX).text
    assert "Идёт синхронизация с Timeweb…" in page
    assert "12 из 23" in page
    assert "/state?watching=true" in page
    synced.execute("UPDATE timeweb_sync_lease SET owner = NULL")
    reply = client.get(f"{PREFIX}/state?watching=true")
    assert reply.headers["HX-Trigger"] == "hosting:refresh"
    assert "Синхронизация завершена: создано 23" in reply.text
    assert "watching" not in reply.text


def test_a_lease_that_ran_out_is_no_running_sync(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE timeweb_sync_lease SET owner = 'dead', expires_ms = 1")
    synced.execute("UPDATE timeweb_sync_run SET status = 'crashed', report = NULL")
    page = open_client(synced.app(timeweb=False)).get(PREFIX).text
    assert "Идёт синхронизация" not in page
    assert "Предыдущая синхронизация прервалась" in page


def test_messages_that_could_not_be_delivered(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE timeweb_event_outbox SET dead_at = '2026-01-01 00:00:00.000000'")
    dead = synced.query("SELECT COUNT(*) FROM timeweb_event_outbox")[0][0]
    assert dead
    assert f"Не доставлено уведомлений: {dead}" in open_client(synced.app()).get(PREFIX).text


def test_an_unknown_number_is_a_dash(synced: Section, open_client: Open) -> None:
    synced.execute("UPDATE hosting_servers SET cost_price = 0")
    synced.execute("UPDATE timeweb_server_state SET cost_source = 'unknown'")
    page = open_client(synced.app()).get(PREFIX).text
    assert "0,00\u00a0₽</dd>" not in page.partition("Просрочено")[0]
    assert "не известна: 23" in page


def test_the_page_works_where_the_build_had_no_network(
    synced: Section, open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_adapter.web.templating.has_asset", lambda name: False)
    page = open_client(synced.app()).get(PREFIX).text
    assert "<script" not in page
    assert "vendor/" not in page
    assert "hosting.css" in page
    assert "gitlab" in page


def test_no_inline_script_or_style(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    number = synced.id_of("gitlab")
    for path in ("", "/new", "/import", "/dynamics", f"/servers/{number}/edit", f"/servers/{number}/history"):
        page = client.get(f"{PREFIX}{path}").text
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert page.count("<script") == page.count('<script src="') <= 2


def test_templates_of_the_host_beside_its_base_are_its_own(synced: Section, open_client: Open, tmp_path: Path) -> None:
    """A folder of the same name, with filters that only the host's environment knows."""
    base = tmp_path / "base.html"
    base.write_text("<html><body>{% block content %}{% endblock %}</body></html>")
    (tmp_path / "hosting").mkdir()
    (tmp_path / "hosting" / "prices.html").write_text("{{ price | of_the_host }}")
    assert "gitlab" in open_client(synced.app(base_template=base)).get(PREFIX).text


def test_a_host_template_frames_the_page(synced: Section, open_client: Open, tmp_path: Path) -> None:
    base = tmp_path / "base.html"
    base.write_text("<html><body><nav>The CRM</nav>{% block content %}{% endblock %}</body></html>", "utf-8")
    page = open_client(synced.app(base_template=base, prefix="/deep/er/hosting")).get("/deep/er/hosting").text
    assert "<nav>The CRM</nav>" in page
    assert "gitlab" in page
    assert 'href="/deep/er/hosting/import"' in page


def test_links_follow_a_proxy_that_strips_a_prefix(synced: Section, open_client: Open) -> None:
    app = synced.app()
    app.root_path = "/crm"
    page = open_client(app).get(f"/crm{PREFIX}").text
    assert f'action="/crm{PREFIX}/sync"' in page


def test_static_files_stay_in_their_folder(synced: Section, open_client: Open) -> None:
    client = open_client(synced.app())
    assert client.get(f"{PREFIX}/static/hosting.css").headers["content-type"].startswith("text/css")
    for name in ("../render.py", "..%2frender.py", "%2e%2e/render.py", "/etc/passwd", "%2fetc/passwd", "", "icons"):
        assert client.get(f"{PREFIX}/static/{name}").status_code == 404, name


def test_fifty_opens_at_once_start_one_run_and_wait_for_none(synced: Section) -> None:
    """Timeweb answers in 10 s here; the test ends long before, so no open can have waited for it."""
    synced.execute("UPDATE timeweb_account_state SET last_success_at = '2026-01-01 00:00:00.000000'")
    synced.emulator.add_fault({"operation": "getServers", "times": 99, "delay_ms": 10_000})
    before = synced.query("SELECT COUNT(*) FROM timeweb_sync_run")[0][0]

    async def open_all() -> list[int]:
        app = synced.app()
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            headers = {"Authorization": "Bearer admin"}
            async with httpx.AsyncClient(transport=transport, base_url="http://crm.example.com", headers=headers) as client:
                replies = await asyncio.wait_for(asyncio.gather(*(client.get(PREFIX) for _ in range(50))), timeout=9.5)
            return [reply.status_code for reply in replies]

    assert asyncio.run(open_all()) == [200] * 50
    assert synced.query("SELECT COUNT(*) FROM timeweb_sync_run")[0][0] == before + 1
    assert synced.query("SELECT COUNT(*) FROM timeweb_sync_lease WHERE owner IS NOT NULL") == [(0,)], "shutdown lets go"


def test_a_page_of_a_large_account_takes_few_statements(synced: Section, open_client: Open) -> None:
    import sqlalchemy as sa

    statements: list[str] = []
    sa.event.listen(sa.Engine, "before_cursor_execute", record := lambda *call: statements.append(call[2]))
    try:
        client = open_client(synced.app())
        statements.clear()
        assert client.get(PREFIX).status_code == 200
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", record)
    assert len([text for text in statements if not text.startswith("PRAGMA")]) <= 12, statements


def test_the_chart_is_drawn_here(synced: Section, open_client: Open) -> None:
    reply = open_client(synced.app()).get(f"{PREFIX}/dynamics.svg")
    assert reply.headers["content-type"] == "image/svg+xml"
    assert "<script" not in reply.text
    assert "http://www.w3.org" in reply.text
    assert "Себестоимость" in reply.text
    assert TOKEN not in reply.text


def test_the_chart_undoes_changes_month_by_month(synced: Section) -> None:
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.db.mapper import validate_mapping
    from crm_adapter.db.tables import HostingServer

    synced.execute("DELETE FROM timeweb_change_log")
    synced.execute("UPDATE hosting_servers SET created_at = '2026-01-15 00:00:00.000000', cost_price = 100, client_price = 0")
    synced.execute("DELETE FROM hosting_servers WHERE server_name NOT IN ('gitlab', 'staging')")
    synced.execute("UPDATE hosting_servers SET client_price = 500 WHERE server_name = 'gitlab'")
    change = "INSERT INTO timeweb_change_log (at, server_id, field, old, new) VALUES (:at, :id, :field, :old, :new)"
    number = synced.id_of("gitlab")
    for at, field, old, new in (
        ("2026-02-10", "client_price", "300.0", "500.0"),
        ("2026-03-05", "cost_price", "80.00", "100.00"),
    ):
        synced.execute(change, at=f"{at} 12:00:00.000000", id=number, field=field, old=old, new=new)
    with synced.engine() as engine, Session(engine) as session:
        found = charts.months(session, validate_mapping(HostingServer), date(2026, 4, 20), ZoneInfo("Europe/Moscow"))
    assert [(month.income, month.cost, month.margin) for month in found] == [
        (Decimal(300), Decimal(180), Decimal(220)),
        (Decimal(500), Decimal(180), Decimal(420)),
        (Decimal(500), Decimal(200), Decimal(400)),
        (Decimal(500), Decimal(200), Decimal(400)),
    ]


def test_the_sums_are_those_of_the_adapter(synced: Section) -> None:
    from datetime import date

    from sqlalchemy.orm import Session, sessionmaker

    from crm_adapter import blocking
    from crm_adapter.db.mapper import validate_mapping
    from crm_adapter.db.tables import HostingServer
    from crm_adapter.servers.totals import read_totals

    synced.execute("UPDATE hosting_servers SET client_price = 2000, client_name = 'Анна' WHERE id % 2 = 0")
    synced.execute("UPDATE hosting_servers SET payment_period = 'quarterly', service_fee = 100 WHERE id % 3 = 0")
    synced.execute("UPDATE hosting_servers SET next_payment_date = '2020-01-01 00:00:00.000000' WHERE id = 4")
    synced.execute("UPDATE timeweb_server_state SET removed_at = '2026-01-01 00:00:00.000000' WHERE server_id = 8")
    today = date(2026, 6, 1)
    with synced.engine() as engine:
        with Session(engine) as session:
            ours = read_totals(session, validate_mapping(HostingServer), today)
        assert ours == blocking.totals(sessionmaker(engine), today=today)
    assert ours.overdue_count == 1


def test_the_history_names_whoever_it_was(synced: Section, open_client: Open) -> None:
    """A name that nobody told is not the synchronisation's; a run is, whoever started it."""
    number = synced.id_of("gitlab")
    synced.execute("DELETE FROM timeweb_change_log")
    change = (
        "INSERT INTO timeweb_change_log (at, server_id, field, old, new, actor, run_id)"
        " VALUES ('2026-02-10 12:00:00.000000', :id, 'notes', NULL, :new, :actor, :run)"
    )
    for new, actor, run in (
        ("one", None, None),
        ("two", "Ирина", None),
        ("three", "auto", 1),
        ("four", None, 1),
        ("five", "Олег", 1),
    ):
        synced.execute(change, id=number, new=new, actor=actor, run=run)
    page = open_client(synced.app()).get(f"{PREFIX}/servers/{number}/history").text
    cells = re.findall(r"<tr><td>[^<]+</td><td>([^<]+)</td><td>Заметки", page)
    assert cells == ["синхронизация (Олег)", "синхронизация", "синхронизация", "Ирина", "не указан"]
