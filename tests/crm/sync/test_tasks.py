"""Tasks are decided on the rows that are there when their turn comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from crm_adapter.db.rows import State, StoredRow
from crm_adapter.sync.costs import CostRow, CostTable
from crm_adapter.sync.decisions import Decision, Observed, create, decide, mark_missing, mark_moved, mark_removed, note_listed
from crm_adapter.sync.payloads import Payloads
from crm_adapter.sync.tasks import Kind, Task, decide_all
from tests.crm.sync.values import CONTEXT, EARLIER, NOW, server_values, state, stored, typed

VALUES = server_values(1)
ROW = stored(1, state())
COSTS = CostTable({1001: CostRow(Decimal(700))})


def decided(task: Task, row: StoredRow | None, costs: CostTable | None = None) -> list[Decision]:
    rows: Mapping[int, StoredRow] = {} if row is None else {task.timeweb_id: row}
    return decide_all([task], rows, Payloads(), costs, CONTEXT)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Task("follow", 1001, ROW, VALUES), decide(ROW, Observed(VALUES, COSTS.servers[1001]), CONTEXT)),
        (Task("remove", 1001, ROW), mark_removed(ROW, CONTEXT)),
        (Task("remove", 1001, ROW, VALUES), mark_removed(ROW, CONTEXT, Observed(VALUES, COSTS.servers[1001]))),
        (Task("missing", 1001, ROW), mark_missing(ROW, CONTEXT)),
        (Task("move", 1001, ROW, account="b"), mark_moved(ROW, CONTEXT, "b")),
        (Task("note", 1001, ROW, account="b"), note_listed(ROW, CONTEXT, "b")),
        (Task("note", 1001, ROW), note_listed(ROW, CONTEXT, None)),
    ],
)
def test_a_task_is_decided_on_the_row_as_it_is_now(task: Task, expected: Decision) -> None:
    assert decided(task, ROW, COSTS) == [expected]
    priced = replace(ROW, client_price=Decimal(9))
    assert [decision.row for decision in decided(task, priced, COSTS)] == [priced]


def test_a_server_without_a_row_is_created_and_one_typed_by_hand_linked() -> None:
    assert decided(Task("create", 1001, None, VALUES), None) == [create(Observed(VALUES), CONTEXT)]
    row = typed(1)
    assert decided(Task("link", 1001, row, VALUES), row) == [decide(row, Observed(VALUES), CONTEXT, linking=True)]


@pytest.mark.parametrize("kind", ["follow", "remove", "missing", "move", "note"])
@pytest.mark.parametrize(
    "now",
    [
        None,
        replace(ROW, timeweb_id=None),
        replace(ROW, auto_sync=False),
        replace(ROW, state=None),
        stored(1, state(account="b")),
        stored(1, state(listed_by="b")),
        stored(1, state(missing_since=EARLIER)),
        stored(1, state(removed_at=EARLIER)),
    ],
)
def test_a_row_that_is_elsewhere_by_now_is_left_to_the_next_run(kind: Kind, now: StoredRow | None) -> None:
    assert decided(Task(kind, 1001, ROW, VALUES, "b"), now) == []


@pytest.mark.parametrize("changes", [{"status": "closed"}, {"timeweb_id": 1009}, {"state": State(unlinked_from=1001)}])
def test_a_row_that_can_no_longer_be_linked_is_left_alone(changes: dict[str, Any]) -> None:
    assert decided(Task("link", 1001, typed(1), VALUES), typed(1, **changes)) == []


@pytest.mark.parametrize(
    ("planned", "now", "action"),
    [
        (EARLIER, NOW + timedelta(seconds=1), "unchanged"),
        (EARLIER, NOW - timedelta(seconds=1), "update"),
        # A clock that is ahead holds nothing back.
        (NOW + timedelta(seconds=1), NOW + timedelta(seconds=1), "update"),
    ],
)
def test_what_another_sync_knows_later_stays(planned: Any, now: Any, action: str) -> None:
    renamed = server_values(1, server_name="new")
    task = Task("follow", 1001, replace(ROW, last_sync_at=planned), renamed)
    assert [decision.action for decision in decided(task, replace(ROW, last_sync_at=now))] == [action]


def test_a_payload_is_packed_and_comes_back_whole() -> None:
    payloads, listed = Payloads(), [server_values(number, location=None) for number in range(1, 4)]
    packed = [payloads.pack(values) for values in listed]
    assert [values.timeweb_data for values in packed] == ["", "", ""]
    assert [payloads.whole(values) for values in packed] == listed
    assert Payloads().whole(listed[0]) == listed[0]
    (new,) = decide_all([Task("create", 1001, None, packed[0])], {}, payloads, None, CONTEXT)
    assert new.host == create(Observed(listed[0]), CONTEXT).host
    (old,) = decide_all([Task("follow", 1001, ROW, packed[1])], {1001: ROW}, payloads, None, CONTEXT)
    assert old.host["timeweb_data"] == listed[1].timeweb_data
