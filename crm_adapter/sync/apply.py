"""Applying decisions in chunks: the only place where sync writes the host's table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from crm_adapter.db.columns import HUMAN, Columns
from crm_adapter.db.dialects import begin_write, insert_ignore, is_lock_timeout, rejects_values
from crm_adapter.db.history import Author, Entry, write_changes
from crm_adapter.db.rejections import rejection
from crm_adapter.db.rows import DECISIVE, StoredRow, lock, write_states
from crm_adapter.db.tables import AccountState, EventOutbox
from crm_adapter.errors import MappingError
from crm_adapter.payload import plain
from crm_adapter.results import ChangeKind, ServerProblem, to_plain
from crm_adapter.steps import HASTE, PATIENCE, Cpu, Flow, transaction
from crm_adapter.sync import leases
from crm_adapter.sync.decisions import Decision, EventDraft, RunContext, as_utc, decide, is_later, is_newer
from crm_adapter.sync.linking import is_linkable
from crm_adapter.sync.report import Tally
from crm_adapter.telemetry import span
from crm_adapter.text import messages

CHUNK: Final = 250
"""Rows per transaction."""
TOUCH_EVERY: Final = timedelta(hours=1)
"""A run moves `last_sync_at` of a row that is as it was at most this often: it would rewrite the host's table each time."""
_HELD_ENOUGH: Final = 3
"""After so many rows in a row that somebody holds, the rest of a chunk is not tried."""
_STATE_ONLY: Final = frozenset({"missing", "note"})
"""What is written beside the row alone."""
_OUTBOX: Final[Table] = cast(Table, EventOutbox.__table__)


@dataclass(slots=True)
class Applied:
    """What has been committed, and what was refused."""

    tally: Tally = field(default_factory=Tally)
    errors: list[ServerProblem] = field(default_factory=list[ServerProblem])
    done: list[Decision] = field(default_factory=list[Decision])
    """Of the piece in hand; what was written before is counted in `tally`."""

    def settle(self) -> list[Decision]:
        """The piece is over, or cut short: count what was done of it, and give it."""
        done, self.done = self.done, []
        self.tally.add(done)
        return done


async def apply_decisions(
    writer: Writer,
    decisions: Sequence[Decision],
    applied: Applied,
    on_progress: Callable[[int, int], object] | None = None,
    *,
    before: Callable[[], Flow[None]],
    progress: int,
    total: int,
) -> list[Decision]:
    """Apply one piece of a plan in chunks, one transaction each; a chunk that the database rejects is applied row by row.

    `before` comes before each chunk. `applied` is filled as chunks commit, so that it tells the truth however this ends.
    `progress` of `total` tasks were done before. Returns what was done.
    """
    # Rows with the same columns to write share one statement; what changes nothing comes last.
    ordered = await Cpu(lambda: sorted(decisions, key=_alike))
    for start in range(0, len(ordered), CHUNK):
        chunk = ordered[start : start + CHUNK]
        progress += len(chunk)
        await before()
        try:
            applied.done += await _apply_chunk(writer, chunk, progress, total, patience=PATIENCE)
        except StatementError as error:
            if not (rejects_values(error) or is_lock_timeout(error)):
                raise
            await _apply_singly(writer, chunk, progress, total, applied)
        if on_progress is not None:
            on_progress(progress, total)
    await Cpu(lambda: _in_order(applied, decisions))
    return applied.settle()


def _alike(decision: Decision) -> tuple[bool, bool, str, tuple[str, ...]]:
    return decision.row is not None, not decision.host, decision.action, tuple(sorted(decision.host))


def _in_order(applied: Applied, decisions: Sequence[Decision]) -> None:
    """What was done, in the order of the listing again."""
    listed = {decision.timeweb_id: position for position, decision in enumerate(decisions)}
    applied.done.sort(key=lambda decision: listed[decision.timeweb_id])


async def _apply_singly(writer: Writer, chunk: Sequence[Decision], progress: int, total: int, applied: Applied) -> None:
    """Row by row; what the database rejects, or somebody holds, is an error and stays for the next run."""
    held = 0
    for decision in chunk:
        if held == _HELD_ENOUGH:
            # The whole table is held, it seems: a wait for each row would outlast the lease.
            applied.errors.append(_problem(decision, "row_busy"))
            continue
        try:
            applied.done += await _apply_chunk(writer, [decision], progress, total, patience=HASTE)
            held = 0
        except StatementError as error:
            if is_lock_timeout(error):
                held += 1
                applied.errors.append(_problem(decision, "row_busy"))
            elif rejects_values(error):
                applied.errors.append(await _rejected(writer, decision, error))
            else:
                raise


async def _apply_chunk(
    writer: Writer, chunk: Sequence[Decision], progress: int, total: int, *, patience: float
) -> list[Decision]:
    with span("apply", account=writer.context.account, rows=len(chunk)):
        return await transaction(lambda s: writer.apply(s, chunk, progress=progress, total=total), patience=patience)


async def _rejected(writer: Writer, decision: Decision, error: StatementError) -> ServerProblem:
    """Why one row was refused: somebody else imported the server meanwhile, or the host's own constraint."""
    doubled = decision.row is None and (await transaction(lambda s: writer.is_taken(s, decision.timeweb_id)))
    if doubled:
        return _problem(decision, "already_imported")
    code, text = rejection(error, writer.columns)
    return ServerProblem(decision.timeweb_id, decision.name, text, code)


def _problem(decision: Decision, code: str) -> ServerProblem:
    return ServerProblem(decision.timeweb_id, decision.name, messages.failure_text(code), code)


@dataclass(frozen=True, slots=True)
class Writer:
    """Applies decisions of one account in one run."""

    columns: Columns
    context: RunContext
    run_id: int | None = None
    actor: str | None = None
    owner: str | None = None
    """The lease's owner: the fence. None: a single-row action, which row locks protect."""
    kind: ChangeKind = "synchronised"

    def apply(self, session: Session, chunk: Sequence[Decision], *, progress: int = 0, total: int = 0) -> list[Decision]:
        """Write a chunk in the caller's transaction; returns what was done, decided anew where a row had changed."""
        begin_write(session)
        if self.owner is not None:
            leases.renew(session, self.context.account, self.owner, progress=progress, total=total)
        done = self._create(session, [decision for decision in chunk if decision.row is None])
        done += self._rewrite(session, [decision for decision in chunk if decision.row is not None])
        add_events(session, self.context, self.run_id, [(d, d.row.id if d.row else None) for d in done])
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
        ids = {int(timeweb_id): row_id for timeweb_id, row_id in found}
        if len(ids) < len(decisions):
            raise MappingError(("a new row does not satisfy FieldMap.where: give its columns defaults that do",))
        done = [replace(decision, row=_new_row(decision, ids[decision.timeweb_id])) for decision in decisions]
        self._note(session, done)
        return done

    def _rewrite(self, session: Session, decisions: list[Decision]) -> list[Decision]:
        quiet = [decision for decision in decisions if not decision.is_loud]
        every = TOUCH_EVERY if self.owner is not None else timedelta(0)
        seen = [decision.row for decision in quiet if decision.row and decision.action != "missing"]
        if ids := [row.id for row in seen if _is_older(row.last_sync_at, self.context.now, every)]:
            session.execute(self._touch(ids))
        loud, outdated = self._decide_again(session, [decision for decision in decisions if decision.is_loud])
        groups: dict[tuple[str, ...], list[Decision]] = defaultdict(list)
        for decision in loud:
            groups[tuple(sorted(decision.host))].append(decision)
        for names, group in groups.items():
            if names:
                session.execute(self._update(names), [self._parameters(decision) for decision in group])
            elif ids := [decision.row.id for decision in group if decision.row and decision.action not in _STATE_ONLY]:
                session.execute(self._touch(ids))
        self._note(session, loud)
        return quiet + loud + outdated

    def _decide_again(self, session: Session, decisions: list[Decision]) -> tuple[list[Decision], list[Decision]]:
        """Between the snapshot and now people and others may have written: lock, compare, decide on what is there.

        Gives what is to be written, and what is not, because the row knows something newer.
        """
        if not decisions:
            return [], []
        rows = lock(session, self.columns, [d.row.id for d in decisions if d.row], names=DECISIVE)
        run_asked_at = self._run_asked_at(session)
        kept: list[Decision] = []
        outdated: list[Decision] = []
        for decision in decisions:
            planned = decision.row
            row = rows.get(planned.id) if planned else None
            if planned is None or row is None or row.timeweb_id != planned.timeweb_id:
                continue  # deleted, linked or unlinked by a human meanwhile: the next run sees it
            if planned.auto_sync and not row.auto_sync:
                continue  # a human took it out of the sync meanwhile
            told_later = row.auto_sync and row.account == self.context.account and is_later(run_asked_at, self.context.now)
            if row == planned and not told_later:
                kept.append(decision)
            elif decision.observed is None or decision.action == "remove":
                continue  # it was there after all, or somebody else has noted it
            elif decision.action == "link" and not is_linkable(row):
                continue  # a human closed it or took a server off it meanwhile
            elif told_later or is_newer(row, planned, self.context.now):
                outdated.append(Decision("unchanged", row.server_name, decision.timeweb_id, row, decision.observed))
            else:
                kept.append(decide(row, decision.observed, self.context, linking=decision.action == "link"))
        return kept, outdated

    def _run_asked_at(self, session: Session) -> datetime | None:
        """When the account's last run began that saw all of it; it leaves no trace in rows that were as they are.

        Only a single action has to ask: of two runs of an account one waits for the other.
        """
        if self.owner is not None:
            return None
        return session.scalar(select(AccountState.listed_at).where(AccountState.account == self.context.account))

    def _note(self, session: Session, decisions: Sequence[Decision]) -> None:
        """Our states and the change log."""
        changed = [(decision, decision.row) for decision in decisions if decision.row is not None]
        write_states(session, [replace(row, state=decision.state) for decision, row in changed if decision.state is not None])
        author = Author(self.kind, self.context.now, self.actor, self.context.account, self.run_id)
        entries = [Entry(row.id, decision.timeweb_id or None, decision.changes) for decision, row in changed]
        write_changes(session, self.columns, author, entries)

    def _pinned(self) -> dict[Any, Any]:
        """Columns that an UPDATE would move by itself (`onupdate`) set to what they are."""
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
        return {"row_id": decision.row.id} | {f"new_{name}": self.columns.bind(name, value) for name, value in values.items()}


def _new_row(decision: Decision, row_id: Any) -> StoredRow:
    """The row that a creation has become, as far as others are told of it."""
    host = decision.host
    names = ("server_name", "configuration", "ip_address", "status", "timeweb_status", "timeweb_preset_id")
    return StoredRow(row_id, decision.timeweb_id, **{name: host[name] for name in names}, state=decision.state)


def _is_older(moment: datetime | None, now: datetime, age: timedelta) -> bool:
    """Whether it is that old, or lies so far ahead that a clock was wrong."""
    return moment is None or abs(now - as_utc(moment)) > age


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
