"""The rows that a plan concerns: which server is which row, and which rows have none.

Of rows with a server a run holds as little as tells that, and no more of the table than concerns its account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import in_pieces, in_turns
from crm_adapter.db.rows import DECISIVE, STATES, State, StoredRow, is_unlinked, read_rows, rows_of, select_rows
from crm_adapter.packed import Packed

PLACING: Final = ("id", "timeweb_id", "server_name", "auto_sync", "last_sync_at")
PLACING_STATE: Final = ("account", "listed_by", "cost_source", "missing_since", "removed_at", "unlinked_from")
"""What tells which server is which row, and which is gone: a run holds this much of all rows, and the rest of a few."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows that a plan concerns, as far as a sync decides on them."""

    linked: Mapping[int, StoredRow] = field(default_factory=dict[int, StoredRow])
    """Rows by timeweb_id."""
    unlinked: tuple[StoredRow, ...] = ()
    """Rows without a server; none where every server has its row, since nothing is matched then."""
    hidden: frozenset[int] = frozenset()
    """timeweb_ids of rows that the host's `where` leaves out: deleted softly, or of another kind."""


def read_snapshot(session: Session, columns: Columns, timeweb_ids: Iterable[int]) -> Snapshot:
    """What a plan for these servers concerns, for a plan that is decided again on locked rows before it is written.

    Their rows, and rows without a server where one of the servers has none.
    """
    linked: dict[int, StoredRow] = {}
    hidden = _find_linked(session, columns, timeweb_ids, lambda mine: read_rows(session, columns, mine, names=DECISIVE), linked)
    return _with_unlinked(session, columns, timeweb_ids, Snapshot(linked, hidden=hidden))


def read_places(
    session: Session, columns: Columns, timeweb_ids: Iterable[int], *, account: str, beside: Iterable[int] = ()
) -> Snapshot:
    """The same for a run, with the rows that `account` has or has shown once, and of the servers `beside`.

    Of rows with a server as much as `PLACING`, packed. What is read grows with the account, not with the table.
    """
    mine = or_(STATES.c.account == account, STATES.c.listed_by == account)
    # By id as well: by what an outer join finds beside them SQLite would walk through the rows of all accounts.
    again = STATES.alias()
    found = select(again.c.server_id).where(or_(again.c.account == account, again.c.listed_by == account))
    own = and_(columns["timeweb_id"].is_not(None), mine, columns["id"].in_(found))
    linked: Packed[int, StoredRow] = Packed(_pack_place, _unpack_place)
    _keep(linked, _places(session, columns, own))
    missing = dict.fromkeys(linked.lacks(chain(timeweb_ids, beside)))
    hidden = _find_linked(session, columns, missing, partial(_places, session, columns), linked)
    return _with_unlinked(session, columns, timeweb_ids, Snapshot(linked, hidden=hidden))


def read_linked(session: Session, columns: Columns, timeweb_ids: Iterable[int]) -> tuple[dict[int, StoredRow], frozenset[int]]:
    """The rows of servers by timeweb_id, as much of each as `PLACING`, and the numbers of rows that `where` leaves out."""
    linked: dict[int, StoredRow] = {}
    return linked, _find_linked(session, columns, timeweb_ids, partial(_places, session, columns), linked)


def _places(session: Session, columns: Columns, condition: Any) -> Iterator[StoredRow]:
    statement = select_rows(columns, PLACING, PLACING_STATE, linked_only=True).where(condition).order_by(columns["id"])
    return rows_of(session.execute(statement, execution_options=in_turns(session)))


_place: Final = attrgetter(*PLACING)
_place_state: Final = attrgetter("timeweb_id", *PLACING_STATE)


def _pack_place(row: StoredRow) -> tuple[Any, ...]:
    return (*_place(row), None if row.state is None else _place_state(row.state))


def _unpack_place(values: tuple[Any, ...]) -> StoredRow:
    *place, held = values
    state = None if held is None else State(**dict(zip(("timeweb_id", *PLACING_STATE), held, strict=True)))
    return StoredRow(**dict(zip(PLACING, place, strict=True)), state=state)


def _find_linked(
    session: Session,
    columns: Columns,
    timeweb_ids: Iterable[int],
    read: Callable[[Any], Iterable[StoredRow]],
    linked: MutableMapping[int, StoredRow],
) -> frozenset[int]:
    """Add the rows of servers to `linked`; returns the numbers of rows that are out of sight."""
    hidden: set[int] = set()
    for numbers in in_pieces(number for number in timeweb_ids if columns.holds("timeweb_id", number)):
        _keep(linked, read(columns["timeweb_id"].in_(numbers)))
        missing = [number for number in numbers if number not in linked]
        if columns.scope and missing:
            # A number out of sight is still taken: a row that somebody deleted softly must not be made again.
            hidden.update(session.scalars(select(columns["timeweb_id"]).where(columns["timeweb_id"].in_(missing))))
    return frozenset(hidden)


def _with_unlinked(session: Session, columns: Columns, timeweb_ids: Iterable[int], snapshot: Snapshot) -> Snapshot:
    if all(map(snapshot.linked.__contains__, timeweb_ids)):
        return snapshot
    return replace(snapshot, unlinked=tuple(read_rows(session, columns, is_unlinked(columns), names=DECISIVE)))


def _keep(linked: MutableMapping[int, StoredRow], rows: Iterable[StoredRow]) -> None:
    for row in rows:
        if row.timeweb_id is not None:
            linked[row.timeweb_id] = row
