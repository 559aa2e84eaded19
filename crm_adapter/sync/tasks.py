"""The plan of an account as tasks: which server is which row, and what becomes of it.

Where rows are is all that a run knows of all of them. What is written of one is decided on the whole row, a piece of the
plan at a time, and forgotten once it is written: so a run of many servers takes little memory. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, overload

from crm_adapter.db.rows import StoredRow
from crm_adapter.results import HostingValues
from crm_adapter.sync.costs import CostTable
from crm_adapter.sync.decisions import (
    Decision,
    Observed,
    RunContext,
    create,
    decide,
    is_newer,
    mark_missing,
    mark_moved,
    mark_removed,
    note_listed,
)
from crm_adapter.sync.linking import is_linkable
from crm_adapter.sync.payloads import Payloads

Kind = Literal["create", "follow", "link", "remove", "missing", "move", "note"]
PIECE: Final = 2000
"""Tasks that are decided at a time; their rows and decisions take some 10 MB."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done for one server."""

    kind: Kind
    timeweb_id: int
    row: StoredRow | None = None
    """Where the row was when this was planned; None: there is none."""
    values: HostingValues | None = None
    """The server as it was listed."""
    account: str | None = None
    """The account that a row moves to, or that is noted."""


class Tasks(Sequence[Task]):
    """The tasks of a plan in their order; each is put together when its turn comes, from what the plan was made of."""

    def __init__(self, rows: Mapping[int, StoredRow], servers: Mapping[int, HostingValues]) -> None:
        self._rows, self._servers = rows, servers
        self._linked: dict[int, StoredRow] = {}
        # Plain tuples, for the reason of `Packed`.
        self._held: list[tuple[Kind, int, bool, str | None]] = []

    def add(
        self, kind: Kind, timeweb_id: int, *, listed: bool = False, row: StoredRow | None = None, account: str | None = None
    ) -> None:
        """Add one; `listed`: with the server as it was listed, `row`: one that is not the server's yet."""
        if row is not None:
            self._linked[timeweb_id] = row
        self._held.append((kind, timeweb_id, listed, account))

    def __len__(self) -> int:
        return len(self._held)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | Sequence[Task]:
        return [self._task(*held) for held in self._held[index]] if isinstance(index, slice) else self._task(*self._held[index])

    def _task(self, kind: Kind, timeweb_id: int, listed: bool, account: str | None) -> Task:
        row = self._linked.get(timeweb_id) or self._rows.get(timeweb_id)
        return Task(kind, timeweb_id, row, self._servers[timeweb_id] if listed else None, account)


def decide_all(
    tasks: Iterable[Task],
    rows: Mapping[int, StoredRow],
    payloads: Payloads,
    costs: CostTable | None,
    context: RunContext,
) -> list[Decision]:
    """Decide tasks on the rows (by timeweb_id) that their servers have by now.

    One whose row is elsewhere by now (deleted, linked, unlinked, taken out of the sync, another account's) is left to the
    next run.
    """
    found: list[Decision] = []
    for task in tasks:
        row = rows.get(task.timeweb_id)
        if (task.row is None) is not (row is None):
            continue
        if task.row is not None and row is not None and not _is_there(task, row):
            continue
        observed = None
        if task.values is not None:
            charged = costs.servers.get(task.timeweb_id) if costs is not None else None
            observed = Observed(task.values, charged, payloads)
        found.append(_decide(task, row, observed, context))
    return found


def _is_there(task: Task, row: StoredRow) -> bool:
    assert task.row is not None
    return _place(row) == _place(task.row) and (task.kind != "link" or is_linkable(row))


def _place(row: StoredRow) -> tuple[Any, ...]:
    beside = row.state
    told = (beside.account, beside.listed_by, beside.missing_since, beside.removed_at, beside.unlinked_from) if beside else None
    return row.id, row.timeweb_id, row.auto_sync, told


def _decide(task: Task, row: StoredRow | None, observed: Observed | None, context: RunContext) -> Decision:
    if row is None:
        assert observed is not None
        return create(observed, context)
    match task.kind:
        case "missing":
            return mark_missing(row, context)
        case "remove":
            return mark_removed(row, context, observed)
        case "move":
            assert task.account is not None
            return mark_moved(row, context, task.account)
        case "note":
            return note_listed(row, context, task.account)
        case _:
            assert observed is not None and task.row is not None
            if is_newer(row, task.row, context.now):
                return Decision("unchanged", row.server_name, task.timeweb_id, row, observed)
            return decide(row, observed, context, linking=task.kind == "link")
