"""Records that are held as plain tuples."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import Any

from crm_adapter.packed import Packed, by_fields
from crm_adapter.results import HostingValues
from crm_adapter.sync.costs import CostRow
from tests.crm.sync.values import server_values


def cost_row() -> CostRow:
    return CostRow(Decimal("500.5"), (("server", Decimal(320)), ("floating_ip", Decimal("180.5"))), 7, "web-1")


def test_a_record_comes_back_as_it_was_put_in() -> None:
    costs: Packed[int, CostRow] = by_fields(CostRow)
    servers: Packed[int, HostingValues] = by_fields(HostingValues)
    costs[5], servers[1002], servers[1001] = cost_row(), server_values(2), server_values(1)
    assert costs == {5: cost_row()}
    assert servers[1001] == server_values(1)
    assert [*servers] == [1002, 1001]
    assert (5 in costs, 6 in costs, len(servers), costs.get(6)) == (True, False, 2, None)
    assert [*servers.lacks([1, 1001, 2, 1002])] == [1, 2]
    del servers[1002]
    servers[1001] = server_values(1, server_name="other")
    assert servers == {1001: server_values(1, server_name="other")}
    assert "web" not in repr(servers)


def test_the_collector_of_garbage_forgets_what_is_held() -> None:
    costs: Packed[int, CostRow] = by_fields(CostRow)
    servers: Packed[int, HostingValues] = by_fields(HostingValues)
    costs[1], servers[1001] = cost_row(), server_values()
    for _ in range(3):  # what is inside a tuple is forgotten before it
        gc.collect()
    held: list[Any] = [*gc.get_referents(costs.__dict__["_held"]), *gc.get_referents(servers.__dict__["_held"])]
    assert [gc.is_tracked(item) for item in held if isinstance(item, tuple)] == [False, False]
    assert gc.is_tracked(costs[1])


def test_records_are_let_go_one_by_one() -> None:
    left: list[int] = []

    class Noted:
        def __del__(self) -> None:
            left.append(len(held))

    held: Packed[int, Noted] = Packed(lambda record: (record,), lambda values: values[0])
    for number in range(3):
        held[number] = Noted()
    held.clear()
    assert (left, len(held)) == ([2, 1, 0], 0)
