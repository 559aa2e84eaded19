"""A year of history, for a migrated database: `python -m tests.benchmarks._history URL [--changes N] [--runs N]`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from crm_adapter.db.tables import ChangeLog, EventOutbox, HostingServer, SyncRun, utcnow

_BATCH = 10_000
_YEAR = timedelta(days=365)
_FIELDS = ("cost_price", "client_price", "ip_address", "configuration", "cost_price", "notes")


def make(engine: sa.Engine, *, changes: int, runs: int, events: int) -> None:
    """Spread that many changes, runs and events over the year that ends now, over the rows that there are."""
    now = utcnow()
    with engine.connect() as connection:
        rows = list(connection.scalars(sa.select(HostingServer.id).order_by(HostingServer.id)))
    with engine.begin() as connection:
        connection.execute(sa.update(HostingServer).values(created_at=now - 2 * _YEAR))
    if engine.dialect.name == "postgresql":
        _generate(engine, changes, runs, events)
        return
    _insert(engine, ChangeLog, (_change(rows, place, _at(now, place, changes)) for place in range(changes)))
    _insert(engine, SyncRun, (_run(_at(now, place, runs)) for place in range(runs)))
    _insert(engine, EventOutbox, (_event(place, _at(now, place, events)) for place in range(events)))


def _generate(engine: sa.Engine, changes: int, runs: int, events: int) -> None:
    """The same by the database itself: millions of rows in a minute."""
    moment = "(now() AT TIME ZONE 'UTC') - interval '365 days' + interval '365 days' * ((i + 1)::float / %(count)s)"
    fields = ", ".join(f"'{name}'" for name in _FIELDS)
    statements = (
        (
            f"""INSERT INTO timeweb_change_log (at, server_id, field, old, new)
            SELECT {moment}, ids[mod(i, cardinality(ids)) + 1], field,
            CASE WHEN field LIKE '%%price%%' THEN (mod(i, 900) + 100)::text || '.00' ELSE 'old' END,
            CASE WHEN field LIKE '%%price%%' THEN (mod(i, 900) + 101)::text || '.00' ELSE 'new' END
            FROM (SELECT i, (ARRAY[{fields}])[mod(i, {len(_FIELDS)}) + 1] AS field FROM generate_series(0, %(count)s - 1) i) n,
            (SELECT array_agg(id ORDER BY id) AS ids FROM hosting_servers) rows""",
            changes,
        ),
        (
            f"""INSERT INTO timeweb_sync_run (kind, actor, status, started_at, finished_at, report)
            SELECT 'sync', 'auto', 'success', {moment}, {moment}, '{{"total_processed": 0}}'
            FROM generate_series(0, %(count)s - 1) i""",
            runs,
        ),
        (
            f"""INSERT INTO timeweb_event_outbox (kind, dedupe_key, payload, tries, created_at, next_try_at)
            SELECT 'cost_changed', 'history:' || i, '{{"name": "web"}}', 0, {moment}, {moment}
            FROM generate_series(0, %(count)s - 1) i""",
            events,
        ),
    )
    with engine.begin() as connection:
        for statement, count in statements:
            connection.exec_driver_sql(statement, {"count": count})
        connection.exec_driver_sql("ANALYZE")


def _at(now: datetime, place: int, count: int) -> datetime:
    return now - _YEAR + _YEAR * ((place + 1) / count)


def _change(rows: list[int], place: int, at: datetime) -> dict[str, Any]:
    field = _FIELDS[place % len(_FIELDS)]
    old, new = (f"{place % 900 + 100}.00", f"{place % 900 + 101}.00") if "price" in field else ("old", "new")
    return {"at": at, "server_id": rows[place % len(rows)], "field": field, "old": old, "new": new}


def _run(at: datetime) -> dict[str, Any]:
    return {
        "kind": "sync",
        "actor": "auto",
        "status": "success",
        "started_at": at,
        "finished_at": at,
        "report": '{"total_processed": 0}',
    }


def _event(place: int, at: datetime) -> dict[str, Any]:
    told = {"kind": "cost_changed", "dedupe_key": f"history:{place}", "payload": '{"name": "web"}', "tries": 0}
    return {**told, "created_at": at, "next_try_at": at}


def _insert(engine: sa.Engine, model: Any, records: Iterator[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            _flush(engine, model, batch)
    _flush(engine, model, batch)


def _flush(engine: sa.Engine, model: Any, batch: list[dict[str, Any]]) -> None:
    if batch:
        with engine.begin() as connection:
            connection.execute(sa.insert(model.__table__), batch)
        batch.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    for name, count in (("changes", 5_000_000), ("runs", 100_000), ("events", 200_000)):
        parser.add_argument(f"--{name}", type=int, default=count)
    options = parser.parse_args()
    make(sa.create_engine(options.url), changes=options.changes, runs=options.runs, events=options.events)


if __name__ == "__main__":
    main()
