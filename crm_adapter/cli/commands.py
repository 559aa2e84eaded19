"""What the commands do that ask Timeweb, the database, or both."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from crm_adapter.cli.output import BUSY, DONE, FAILED, CommandError, Output
from crm_adapter.cli.runtime import clients, database as open_database, engine_of, read_settings, settings_of
from crm_adapter.text import command as words
from crm_adapter.text.formats import count

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from sqlalchemy.orm import Session, sessionmaker

    from crm_adapter.results import SyncReport
    from crm_adapter.settings import Settings
    from timeweb_sdk import Timeweb


def migrate(url: str | None, output: Output, *, table: str | None, downgrade: bool, yes: bool) -> int:
    """Prepare the database, or take back what was prepared after asking."""
    from crm_adapter import migrations

    table = table or migrations.HOSTING_TABLE
    if downgrade and not yes:
        if output.as_json or not sys.stdin.isatty():
            raise CommandError("confirmation", words.DROPS_TABLES, hint=words.DROPS_TABLES_HINT)
        typer.confirm(words.DROP_TABLES, abort=True)
    engine = engine_of(settings_of(url))
    try:
        report = (migrations.downgrade if downgrade else migrations.upgrade)(engine, table=table)
    finally:
        engine.dispose()
    if report.dropped_columns:
        line = words.dropped(table, report.dropped_columns)
    elif not report.changed:
        line = words.MIGRATED_ALREADY
    elif report.created_table:
        line = words.created(table)
    else:
        line = words.added(table, len(report.added_columns))
    output.result({"success": True, **report.to_dict()}, line)
    return DONE


def plan(url: str | None, output: Output, *, all_rows: bool, no_import: bool) -> int:
    """Show what a sync would do."""
    from crm_adapter import blocking
    from crm_adapter.cli import tables

    settings = settings_of(url)
    with _open(settings) as (db, timeweb), output.progress(words.ASKING):
        planned = blocking.plan(
            db,
            timeweb,
            only_auto=not all_rows,
            import_new=_import_new(settings, no_import),
            link_policy=settings.timeweb_link_policy,
        )
    document = planned.to_dict()
    lines = [tables.plan_table(planned.servers)] if any(server.action != "unchanged" for server in planned.servers) else []
    output.result(document, *lines, *tables.report_lines(document["report"], planned=True), words.NOTHING_WRITTEN)
    return _exit_code(document["report"])


def sync(url: str | None, output: Output, *, if_stale: int | None, all_rows: bool, no_import: bool) -> int:
    """Synchronise, at once or if the data is old."""
    from crm_adapter import blocking
    from crm_adapter.cli import tables

    settings = settings_of(url)
    with _open(settings) as (db, timeweb), output.progress(words.SYNCING) as progress:

        def start(leases: Mapping[str, str] | None = None) -> SyncReport:
            return blocking.sync_all(
                db,
                timeweb,
                only_auto=not all_rows,
                import_new=_import_new(settings, no_import),
                actor="cli",
                link_policy=settings.timeweb_link_policy,
                leases=leases,
                on_progress=progress,
            )

        document = start().to_dict() if if_stale is None else _when_stale(db, timeweb, if_stale, start)
    output.result(document, *tables.report_lines(document))
    return _exit_code(document)


def _when_stale(db: Any, timeweb: Any, seconds: int, start: Any) -> dict[str, Any]:
    """Sync in this process when `ensure_fresh` says so; else a report of zeros that tells why not."""
    from crm_adapter import blocking
    from crm_adapter.results import SyncReport

    reports: list[SyncReport] = []
    freshness = blocking.ensure_fresh(db, timeweb, max_age=seconds, runner=lambda leases: reports.append(start(leases)))
    if reports:
        report = reports[0]
    elif freshness.status == "running":
        report = SyncReport(freshness.run_id, "running", "already_running")
    else:
        report = SyncReport(None, "skipped")
    return {**report.to_dict(), "freshness": freshness.status}


def import_servers(url: str | None, output: Output, server_ids: list[int], *, dry_run: bool) -> int:
    """Import servers by their ids."""
    from crm_adapter import blocking

    settings = settings_of(url)
    with _open(settings) as (db, timeweb), output.progress(words.IMPORTING) as progress:
        result = blocking.import_servers(
            db, timeweb, server_ids, link=settings.timeweb_link_policy, actor="cli", dry_run=dry_run, on_progress=progress
        )
    lines = [words.imported_one(item.server_id, item.name, linked=item.linked) for item in result.imported]
    lines += [f"{item.server_id}: {item.error}" for item in result.errors]
    output.result(result.to_dict(), *lines, words.imported(result.imported_count, result.error_count))
    return FAILED if result.error_count else DONE


def servers(url: str | None, output: Output, search: str) -> int:
    """Show the rows and what they earn."""
    from crm_adapter.cli import tables
    from crm_adapter.db.mapper import validate_mapping
    from crm_adapter.db.tables import HostingServer
    from crm_adapter.money import local_today
    from crm_adapter.servers.listing import Filters, list_rows
    from crm_adapter.servers.totals import read_totals

    settings = settings_of(url)
    columns, filters, today = validate_mapping(HostingServer), Filters(search=search, size=0), local_today(settings.hosting_tz)
    with open_database(settings) as db, db() as session:
        rows = list_rows(session, columns, filters, today=today).rows
        sums = read_totals(session, columns, today, filters)
    document = {"servers": [row.to_dict() for row in rows], "total": len(rows), "totals": sums.to_dict()}
    output.result(document, tables.servers_table(rows), count(len(rows), "server"), tables.totals_line(sums))
    return DONE


def services(url: str | None, output: Output, search: str, *, kind: str, client: str, unowned: bool) -> int:
    """Show what costs money beside servers."""
    from crm_adapter import blocking
    from crm_adapter.cli import tables

    with open_database(settings_of(url)) as db:
        found = blocking.services(db, search=search, kind=kind, client=client, view="nobody" if unowned else "")
    output.result(found.to_dict(), tables.services_table(found.services), tables.services_line(found))
    return DONE


def runs(url: str | None, output: Output, limit: int) -> int:
    """Show the last runs."""
    from crm_adapter import blocking
    from crm_adapter.cli import tables

    settings = settings_of(url)
    with open_database(settings) as db:
        found = blocking.runs(db, limit=limit)
    lines = [tables.runs_table(found, settings.zone)] if found else [words.NO_RUNS]
    output.result({"runs": [item.to_dict() for item in found]}, *lines)
    return DONE


def doctor(url: str | None, output: Output) -> int:
    """Look at everything that a sync needs."""
    from crm_adapter.cli import doctor as command

    with output.progress(words.CHECKING):
        checks = command.examine(settings_of(url))
    output.result(command.document(checks), *command.lines(checks))
    return FAILED if any(check.state == "bad" for check in checks) else DONE


def serve(url: str | None, output: Output, host: str, port: int, *, demo: bool, jobs: bool, link: bool) -> int:
    """Serve the page, of the configured database or of the demonstration."""
    from crm_adapter.cli import serve as command

    if not demo:
        return command.run(settings_of(url), host, port, output, reload=partial(read_settings, url), jobs=jobs, link=link)
    from crm_adapter.cli.demo import account, prepare

    with account(url or "timeweb-demo.sqlite3") as settings:
        prepare(settings)
        return command.run(settings, host, port, output, jobs=jobs, link=link, demo=True)


@contextmanager
def _open(settings: Settings) -> Generator[tuple[sessionmaker[Session], dict[str, Timeweb]]]:
    """The database and the clients together; a missing token is told before anything is opened."""
    with clients(settings) as timeweb, open_database(settings) as db:
        yield db, timeweb


def _import_new(settings: Settings, no_import: bool) -> bool:
    return settings.timeweb_auto_import and not no_import


def _exit_code(report: Mapping[str, Any]) -> int:
    if report["status"] == "running":
        return BUSY
    return FAILED if report["error_count"] or report["status"] in {"failed", "partial"} else DONE
