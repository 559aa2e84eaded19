"""What a server costs, decided from values alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from crm_adapter.sync.costs import (
    Cost,
    CostRow,
    CostTable,
    Discount,
    Finances,
    is_foreign,
    read_costs,
    read_finances,
    read_presets,
    reconcile,
    resolve,
)

D = Decimal
PARTS = (("server", D("320.00")), ("floating_ip", D("180.00")))
S3_PARTS = (("s3", D("320.00")), PARTS[1])


def listed(**changes: Any) -> dict[str, Any]:
    row = {"type": "server", "service_id": 5, "cost": 320, "total_cost": 500, "project_id": 7}
    return row | {"services": [{"type": "floating_ip", "cost": 180}]} | changes


@pytest.mark.parametrize(
    ("item", "table"),
    [
        (listed(), CostTable({5: CostRow(D(500), PARTS, 7)}, {}, D(500))),
        # The total is what is paid; without one the own price is all that is known.
        (listed(total_cost=None), CostTable({5: CostRow(D(320), PARTS, 7)}, {}, D(320))),
        (listed(cost=None), CostTable({5: CostRow(D(500), PARTS[1:], 7)}, {}, D(500))),
        (listed(services=None, project_id="x"), CostTable({5: CostRow(D(500), PARTS[:1])}, {}, D(500))),
        (
            listed(services=[{"cost": 1}, {"type": "ip"}]),
            CostTable({5: CostRow(D(500), (PARTS[0], ("other", D(1))), 7)}, {}, D(500)),
        ),
        (
            listed(services=[{"cost": 1, "type": "x" * 51}]),
            CostTable({5: CostRow(D(500), (PARTS[0], ("x" * 50, D(1))), 7)}, {}, D(500)),
        ),
        (listed(total_cost=D("0.005")), CostTable({5: CostRow(D("0.005"), PARTS, 7)}, {}, D("0.005"))),
        (listed(total_cost=0), CostTable()),
        (listed(total_cost=-5), CostTable(total=D(-5))),
        (listed(total_cost=None, cost=None), CostTable()),
        (listed(type="s3"), CostTable({}, {("s3", "5"): CostRow(D(500), S3_PARTS, 7)}, D(500))),
        (listed(service_id="uuid"), CostTable({}, {("server", "uuid"): CostRow(D(500), PARTS, 7)}, D(500))),
        (listed(type="s3", total_cost=None, cost=None), CostTable({}, {("s3", "5"): None})),
        (
            listed(type="x" * 51, service_id="y" * 101, info={"name": "z" * 256}),
            CostTable({}, {("x" * 50, "y" * 100): CostRow(D(500), (("x" * 50, D(320)), PARTS[1]), 7, "z" * 255)}, D(500)),
        ),
        (
            listed(type=None, service_id=None, services=[]),
            CostTable({}, {("other", ""): CostRow(D(500), (("other", D(320)),), 7)}, D(500)),
        ),
        ("no row", CostTable(complete=False)),
    ],
)
def test_a_row_of_the_cost_list(item: object, table: CostTable) -> None:
    assert read_costs([item]) == table


@pytest.mark.parametrize(("expected", "complete"), [(None, True), (1, True), (0, False), (2, False)])
def test_a_cost_list_is_complete_when_it_has_the_rows_that_it_is_said_to_have(expected: int | None, complete: bool) -> None:
    assert read_costs([listed()], lambda: expected).complete is complete


def test_rows_of_one_service_are_one() -> None:
    table = read_costs([listed(), listed(total_cost=1), listed(type="s3"), listed(type="s3", total_cost="0.5")])
    assert table.servers == {5: CostRow(D(501), PARTS + PARTS, 7)}
    assert table.services == {("s3", "5"): CostRow(D("500.5"), S3_PARTS + S3_PARTS, 7)}


def test_the_cost_list_is_summed_exactly() -> None:
    table = read_costs(
        [listed(total_cost="0.005"), "junk", listed(service_id=6), listed(type="s3", total_cost="0.1"), listed(type="ip")]
    )
    others = sum((row.gross for row in table.services.values() if row is not None), D(0))
    assert (table.total, others, set(table.servers)) == (D("1000.105"), D("500.1"), {5, 6})


def test_finances_as_they_come() -> None:
    odd = read_finances({"balance": "1.005", "currency": "rub", "monthly_cost": "1.005", "monthly_fee": 2, "hours_left": 3})
    assert odd == Finances(D("1.01"), "RUB", D("1.005"), D(2), 3)
    assert read_finances({}) == Finances(currency="RUB")


@pytest.mark.parametrize(("told", "currency"), [("usd", "USD"), ("US", "RUB"), ("USDT", "RUB"), ("U5D", "RUB"), (None, "RUB")])
def test_a_currency_has_three_letters_or_is_roubles(told: str | None, currency: str) -> None:
    assert read_finances({"currency": told}).currency == currency


@pytest.mark.parametrize(
    ("told", "stored", "foreign"),
    [
        ("RUB", "KZT", False),
        ("KZT", "RUB", True),
        ("KZT", None, True),
        (None, None, False),
        (None, "KZT", True),
        (None, "RUB", False),
    ],
)
def test_the_currency_as_told_now_or_last(told: str | None, stored: str | None, foreign: bool) -> None:
    assert is_foreign(Finances(currency=told) if told else None, stored) is foreign


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ({"balance": 100, "hourly_fee": 3}, 33),
        ({"balance": -100, "hourly_fee": 3}, 0),
        ({"hourly_fee": 3}, None),
        ({"balance": 100}, None),
        ({"balance": 100, "hourly_fee": 0}, None),
        ({"balance": 100, "hourly_fee": "0.5", "hours_left": 7}, 7),
        ({"hours_left": 2**31 - 1}, 2**31 - 1),
        ({"hours_left": 2**31}, None),
        ({"balance": 2**31 - 1, "hourly_fee": 1}, 2**31 - 1),
        ({"balance": 2**31, "hourly_fee": 1}, None),
    ],
)
def test_how_long_the_balance_lasts(told: dict[str, object], left: int | None) -> None:
    assert read_finances(told).hours_left == left


def test_presets_that_can_be_priced() -> None:
    items = ["junk", {"id": 1, "price": "0.5"}, {"id": 2, "price": 0}, {"id": 3}, {"price": 4}, {"id": 5, "price": 6}]
    assert read_presets(items) == {1: D("0.5"), 5: D(6)}


def money(total: object, cost: object, fee: object) -> tuple[CostTable, Finances]:
    amounts = [None if amount is None else D(str(amount)) for amount in (cost, fee)]
    return CostTable(total=D(str(total))), Finances(monthly_cost=amounts[0], monthly_fee=amounts[1])


@pytest.mark.parametrize(
    ("total", "cost", "fee", "expected"),
    [
        # One per cent, from either side.
        (990, 1000, 900, Discount("gross", D("0.9"))),
        (1010, 1000, 900, Discount("gross", D("0.9"))),
        (989, 1000, 900, Discount(None, D(1), reconciled=False)),
        (1011, 1000, 900, Discount(None, D(1), reconciled=False)),
        (909, 1000, 900, Discount("net", D(1))),
        (910, 1000, 900, Discount(None, D(1), reconciled=False)),
        (891, 1000, 900, Discount("net", D(1))),
        # The price comes first where both are as near.
        (1000, 1000, 1000, Discount("gross", D(1))),
        (1000, 1000, 0, Discount("gross", D(0))),
        (1000, 1000, -1, Discount("gross", D(1))),
        (1000, 1000, None, Discount("gross", D(1))),
        (1000, None, 1000, Discount("net", D(1))),
        (1000, 0, 1000, Discount("net", D(1))),
        (1000, None, None, Discount(None, D(1), reconciled=False)),
        # Nothing to compare is no mismatch.
        (0, None, 900, Discount(None, D(1))),
        (0, 0, 0, Discount(None, D(1))),
        (0, 1000, 900, Discount(None, D(1), reconciled=False)),
        (-1000, -1000, -900, Discount(None, D(1), reconciled=False)),
        (0.5, 0.5, 0.45, Discount("gross", D("0.9"))),
        (0.5, None, 900, Discount(None, D(1), reconciled=False)),
    ],
)
def test_whether_the_list_is_before_or_after_the_discount(total: object, cost: object, fee: object, expected: Discount) -> None:
    assert reconcile(*money(total, cost, fee)) == expected


@pytest.mark.parametrize(
    ("basis", "factor", "cost", "fee", "expected"),
    [
        ("net", D("0.5"), 5000, 900, Discount("net", D(1), reconciled=False)),
        ("gross", D("0.5"), 5000, 4500, Discount("gross", D("0.9"), reconciled=False)),
        ("gross", D("0.5"), None, 4500, Discount("gross", D("0.5"), reconciled=False)),
        ("gross", D("0.5"), 5000, None, Discount("gross", D("0.5"), reconciled=False)),
        ("gross", D(0), None, None, Discount("gross", D(0), reconciled=False)),
        ("gross", None, None, None, Discount("gross", D(1), reconciled=False)),
        ("other", D("0.5"), 5000, 4500, Discount(None, D(1), reconciled=False)),
    ],
)
def test_without_a_match_the_stored_basis_holds(
    basis: str, factor: Decimal | None, cost: object, fee: object, expected: Discount
) -> None:
    assert reconcile(*money(1000, cost, fee), basis, factor) == expected


@pytest.mark.parametrize(("basis", "factor"), [("net", D(1)), ("gross", D("0.5")), (None, D(1))])
def test_half_of_the_figures_is_no_mismatch(basis: str | None, factor: Decimal) -> None:
    table, finances = money(1000, 5000, 900)
    for costs, told in ((None, finances), (table, None), (None, None)):
        found = reconcile(costs, told, basis, D("0.5"))
        fee_known = told is not None and basis == "gross"
        assert (found.basis, found.reconciled) == (basis, True)
        assert found.factor == (D("0.18") if fee_known else factor)


ROW = CostRow(D("500.005"), PARTS)
OLD = (("server", D(1)),)


@pytest.mark.parametrize(
    ("row", "preset", "known", "expected"),
    [
        (ROW, D(9), Cost(None, D(7), "manual"), Cost(D("450.00"), D("500.01"), "services_cost", components=PARTS)),
        # What was told once is better than a preset; what a preset said once is not.
        (None, D(100), Cost(None, D(7), "services_cost", components=OLD), Cost(None, D(7), "services_cost", True, OLD)),
        (None, D(100), Cost(None, D(7), "manual", components=OLD), Cost(None, D(7), "services_cost", True, OLD)),
        (None, D(100), Cost(None, None, "services_cost"), Cost(D("90.00"), D("100.00"), "preset")),
        (None, D(100), Cost(None, D(7), "preset"), Cost(D("90.00"), D("100.00"), "preset")),
        (None, D("0.055"), None, Cost(D("0.05"), D("0.06"), "preset")),
        (None, None, Cost(None, D(7), "preset", components=OLD), Cost(None, D(7), "preset", True, OLD)),
        (None, None, Cost(None, None, "manual"), Cost(None, None, "manual", True)),
        (None, None, Cost(None, D(7), "unknown"), Cost(None, None, "unknown")),
        (None, None, None, Cost(None, None, "unknown")),
    ],
)
def test_a_cost_is_told_known_or_the_presets_in_this_order(
    row: CostRow | None, preset: Decimal | None, known: Cost | None, expected: Cost
) -> None:
    """The preset's price is before the discount as well."""
    assert resolve(row, preset, D("0.9"), known) == expected
