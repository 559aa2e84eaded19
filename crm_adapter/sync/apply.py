"""Reading the snapshot and applying decisions in chunks: the only place where sync writes the host's table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from crm_adapter.db.columns import HUMAN, Columns
from crm_adapter.db.dialects import begin_write, insert_ignore, rejects_values, upsert
from crm_adapter.db.tables import ChangeLog, EventOutbox, TimewebServerState
from crm_adapter.errors import MappingError
from crm_adapter.payload import plain
from crm_adapter.results import ServerProblem, to_plain
from crm_adapter.steps import transaction
from crm_adapter.sync import leases
from crm_adapter.sync.decisions import Decision, EventDraft, RunContext, decide
from crm_adapter.sync.snapshot import Row, Snapshot, State, row_of, state_of
from crm_adapter.telemetry import span
from crm_adapter.text import messages

#: Rows per transaction.
CHUNK: Final = 200
_READ: Final = (
    "id", "timeweb_id", "server_name", "configuration", "ip_address", "cost_price", "status", "timeweb_status",
    "timeweb_preset_id", "auto_sync", "client_price", "service_fee", "payment_period", "created_at",
)  # fmt: skip
_STATE: Final[Table] = cast(Table, TimewebServerState.__table__)
_STATE_COLUMNS: Final = tuple(State.__dataclass_fields__)
_LOG: Final[Table] = cast(Table, ChangeLog.__table__)
_OUTBOX: Final[Table] = cast(Table, EventOutbox.__table__)


def _select(columns: Columns) -> Any:
    state = [_STATE.c[name].label(f"state_{name}") for name in ("server_id", *_STATE_COLUMNS)]
    return (
        select(*columns.select(*_READ), *state)
        .select_from(columns.table.outerjoin(_STATE, _STATE.c.server_id == columns["id"]))
        .where(*columns.scope)
    )


def _row(record: Mapping[str, Any]) -> Row:
    prefix = len("state_")
    state = state_of({name[prefix:]: value for name, value in record.items() if name.startswith("state_")})
    return row_of(record, state)


def read_snapshot(session: Session, columns: Columns) -> Snapshot:
    """All rows, without their ``timeweb_data``."""
    linked: dict[int, Row] = {}
    unlinked: list[Row] = []
    for record in session.execute(_select(columns)).mappings():
        row = _row(cast("Mapping[str, Any]", record))
        if row.timeweb_id is None:
            unlinked.append(row)
        else:
            linked[row.timeweb_id] = row
    hidden: frozenset[int] = frozenset()
    if columns.scope:
        # A number out of sight is still taken: a row that somebody deleted softly must not be made again.
        numbers = session.scalars(select(columns["timeweb_id"]).where(columns["timeweb_id"].is_not(None)))
        hidden = frozenset(numbers) - linked.keys()
    return Snapshot(linked, tuple(unlinked), hidden)


def read_rows(session: Session, columns: Columns, crm_ids: Iterable[int], *, lock: bool = False) -> dict[int, Row]:
    """Some rows by CRM id; ``lock`` keeps others from writing them until the transaction ends."""
    possible = [crm_id for crm_id in crm_ids if columns.holds("id", crm_id)]
    statement = _select(columns).where(columns["id"].in_(possible))
    if lock:
        statement = statement.with_for_update(of=columns.table)
    rows = (_row(cast("Mapping[str, Any]", record)) for record in session.execute(statement).mappings())
    return {row.crm_id: row for row in rows}


async def apply_decisions(
    writer: Writer, decisions: Sequence[Decision], on_progress: Callable[[int, int], object] | None = None
) -> tuple[list[Decision], list[ServerProblem]]:
    """Apply in chunks, one transaction each; a chunk that the database rejects is applied row by row."""
    # Rows with the same columns to write share one statement; what changes nothing comes last.
    ordered = sorted(decisions, key=lambda d: (d.row is not None, not d.host, d.action, tuple(sorted(d.host))))
    total, progress = len(ordered), 0
    done: list[Decision] = []
    errors: list[ServerProblem] = []
    for start in range(0, total, CHUNK):
        chunk = ordered[start : start + CHUNK]
        progress += len(chunk)
        try:
            done += await _apply_chunk(writer, chunk, progress, total)
        except StatementError as error:
            if not rejects_values(error):
                raise
            for decision in chunk:
                try:
                    done += await _apply_chunk(writer, [decision], progress, total)
                except StatementError as rejection:
                    if not rejects_values(rejection):
                        raise
                    errors.append(await _rejected(writer, decision))
        if on_progress is not None:
            on_progress(progress, total)
    listed = {decision.timeweb_id: position for position, decision in enumerate(decisions)}
    done.sort(key=lambda decision: listed[decision.timeweb_id])
    return done, errors


async def _apply_chunk(writer: Writer, chunk: Sequence[Decision], progress: int, total: int) -> list[Decision]:
    with span("apply", account=writer.context.account, rows=len(chunk)):
        return await transaction(lambda s: writer.apply(s, chunk, progress=progress, total=total))


async def _rejected(writer: Writer, decision: Decision) -> ServerProblem:
    """Why one row was refused: somebody else imported the server meanwhile, or the host's own constraint."""
    doubled = decision.row is None and (await transaction(lambda s: writer.is_taken(s, decision.timeweb_id)))
    code = "already_imported" if doubled else "database_rejected"
    return ServerProblem(decision.timeweb_id, decision.name, messages.failure_text(code), code)


@dataclass(frozen=True, slots=True)
class Writer:
    """Applies decisions of one account in one run."""

    columns: Columns
    context: RunContext
    run_id: int | None = None
    actor: str | None = None
    owner: str | None = None
    """The lease's owner: the fence.  None: a single-row action, which row locks protect."""

    def apply(self, session: Session, chunk: Sequence[Decision], *, progress: int = 0, total: int = 0) -> list[Decision]:
        """Write a chunk in the caller's transaction; returns what was done, decided anew where a row had changed."""
        begin_write(session)
        if self.owner is not None:
            leases.renew(session, self.context.account, self.owner, progress=progress, total=total)
        done = self._create(session, [decision for decision in chunk if decision.row is None])
        done += self._rewrite(session, [decision for decision in chunk if decision.row is not None])
        add_events(session, self.context, self.run_id, [(d, d.row.crm_id if d.row else None) for d in done])
        return done

    def is_taken(self, session: Session, timeweb_id: int) -> bool:
        """Whether the server has a row now."""
        statement = select(self.columns["id"]).where(self.columns["timeweb_id"] == timeweb_id)
        return session.scalar(statement) is not None

    def _create(self, session: Session, decisions: list[Decision]) -> list[Decision]:
        if not decisions:
            return []
        columns = self.columns
        session.execute(columns.table.insert(), [columns.new_row(dict(decision.host)) for decision in decisions])
        found = session.execute(
            select(columns["timeweb_id"], columns["id"]).where(
                columns["timeweb_id"].in_([decision.timeweb_id for decision in decisions]), *columns.scope
            )
        )
        ids = {int(timeweb_id): int(crm_id) for timeweb_id, crm_id in found}
        if len(ids) < len(decisions):
            raise MappingError(("a new row does not satisfy FieldMap.where: give its columns defaults that do",))
        done = [_with_id(decision, ids[decision.timeweb_id]) for decision in decisions]
        anchor = self.context.today.day
        write_states(session, done, anchor=anchor)
        log_changes(session, done, self.context, self.run_id, self.actor)
        return done

    def _rewrite(self, session: Session, decisions: list[Decision]) -> list[Decision]:
        quiet = [decision for decision in decisions if not decision.host and decision.state is None and not decision.changes]
        if quiet:
            ids = [decision.row.crm_id for decision in quiet if decision.row and decision.action != "missing"]
            if ids:
                session.execute(self._touch(ids))
        loud = self._decide_again(
            session, [decision for decision in decisions if decision.host or decision.state or decision.changes]
        )
        groups: dict[tuple[str, ...], list[Decision]] = defaultdict(list)
        for decision in loud:
            groups[tuple(sorted(decision.host))].append(decision)
        for names, group in groups.items():
            if names:
                session.execute(self._update(names), [self._parameters(decision) for decision in group])
            elif ids := [decision.row.crm_id for decision in group if decision.row and decision.action != "missing"]:
                session.execute(self._touch(ids))
        write_states(session, loud)
        log_changes(session, loud, self.context, self.run_id, self.actor)
        return quiet + loud

    def _decide_again(self, session: Session, decisions: list[Decision]) -> list[Decision]:
        """Between the snapshot and now people and others may have written: lock, compare, decide on what is there."""
        if not decisions:
            return []
        rows = read_rows(session, self.columns, [d.row.crm_id for d in decisions if d.row], lock=True)
        kept: list[Decision] = []
        for decision in decisions:
            planned = decision.row
            row = rows.get(planned.crm_id) if planned else None
            if planned is None or row is None or row.timeweb_id != planned.timeweb_id:
                continue  # deleted, linked or unlinked by a human meanwhile: the next run sees it
            if planned.auto_sync and not row.auto_sync:
                continue  # a human took it out of the sync meanwhile
            if row == planned:
                kept.append(decision)
            elif decision.observed is not None and decision.action != "remove":
                kept.append(decide(row, decision.observed, self.context, linking=decision.action == "link"))
        return kept

    def _pinned(self) -> dict[Any, Any]:
        """Columns that an UPDATE would move by itself (``onupdate``) set to what they are."""
        moving = [
            column
            for column in self.columns.table.columns
            if column.computed is None and (column.onupdate is not None or column.server_onupdate is not None)
        ]
        if "updated_at" in self.columns:
            moving.append(self.columns["updated_at"])
        return {column: column for column in moving}

    def _touch(self, ids: Sequence[int]) -> Any:
        columns = self.columns
        moment = columns.bind("last_sync_at", self.context.now)
        touched = update(columns.table).where(columns["id"].in_(ids), *columns.scope)
        return touched.values({**self._pinned(), columns["last_sync_at"]: moment})

    def _update(self, names: Sequence[str]) -> Any:
        if human := HUMAN.intersection(names):
            raise AssertionError(f"a sync may not write {sorted(human)}")
        columns = self.columns
        values: dict[Any, Any] = {**self._pinned(), columns["last_sync_at"]: bindparam("new_last_sync_at")}
        if "updated_at" in columns:
            values[columns["updated_at"]] = bindparam("new_updated_at")
        values |= {columns[name]: bindparam(f"new_{name}") for name in names}
        return update(columns.table).where(columns["id"] == bindparam("row_id")).values(values)

    def _parameters(self, decision: Decision) -> dict[str, Any]:
        assert decision.row is not None
        values = {**decision.host, "last_sync_at": self.context.now}
        if "updated_at" in self.columns:
            values["updated_at"] = self.context.now
        return {"row_id": decision.row.crm_id} | {
            f"new_{name}": self.columns.bind(name, value) for name, value in values.items()
        }


def _with_id(decision: Decision, crm_id: int) -> Decision:
    """A creation after the INSERT: the row it became."""
    host = decision.host
    row = Row(
        crm_id, decision.timeweb_id, host["server_name"], host["configuration"], host["ip_address"], host["cost_price"],
        host["status"], host["timeweb_status"], host["timeweb_preset_id"], auto_sync=True,
    )  # fmt: skip
    return Decision(
        decision.action,
        decision.name,
        decision.timeweb_id,
        row,
        decision.observed,
        host,
        decision.changes,
        decision.state,
        decision.events,
    )


def write_states(session: Session, decisions: Iterable[Decision], *, anchor: int | None = None) -> None:
    """Insert or update our state beside the rows; ``anchor`` belongs to new rows only."""
    records = [
        {name: getattr(d.state, name) for name in _STATE_COLUMNS}
        | {"server_id": d.row.crm_id, "edit_version": 0, "payment_anchor_day": anchor}
        for d in decisions
        if d.state is not None and d.row is not None
    ]
    if records:
        # A leftover state of a deleted row (SQLite gives ids out again) is overwritten whole.
        extra = ("edit_version", "payment_anchor_day") if anchor is not None else ()
        session.execute(upsert(session, _STATE, key="server_id", columns=(*_STATE_COLUMNS, *extra)), records)


def log_changes(
    session: Session, decisions: Iterable[Decision], context: RunContext, run_id: int | None, actor: str | None
) -> None:
    """One row per changed value."""
    records = [
        {
            "at": context.now,
            "server_id": d.row.crm_id,
            "timeweb_id": d.timeweb_id or None,
            "account": context.account,
            "run_id": run_id,
            "actor": actor,
            "field": name,
            "old": _log_text(old),
            "new": _log_text(new),
        }
        for d in decisions
        if d.row is not None
        for name, (old, new) in d.changes.items()
    ]
    if records:
        session.execute(_LOG.insert(), records)


def _log_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def add_events(
    session: Session, context: RunContext, run_id: int | None, sources: Iterable[tuple[Decision | EventDraft, int | None]]
) -> None:
    """Put events into the outbox; a dedupe key that is there already is left alone."""
    records: list[dict[str, Any]] = []
    for source, server_id in sources:
        timeweb_id = source.timeweb_id if isinstance(source, Decision) else None
        for draft in source.events if isinstance(source, Decision) else (source,):
            key = draft.key or f"{timeweb_id}:{run_id}:{context.now.isoformat() if run_id is None else ''}"
            payload = plain({**draft.payload, "timeweb_id": timeweb_id})
            records.append(
                {
                    "kind": draft.kind,
                    "dedupe_key": f"{draft.kind}:{key}"[:190],
                    "account": context.account,
                    "server_id": server_id,
                    "run_id": run_id,
                    "payload": json.dumps(to_plain(payload), ensure_ascii=False),
                    "created_at": context.now,
                    "next_try_at": context.now,
                    "tries": 0,
                }
            )
    if records:
        session.execute(insert_ignore(session, _OUTBOX), records)
