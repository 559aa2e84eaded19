"""A number of the contract is an integer, money or a ratio, and a person says which."""

from __future__ import annotations

import pytest

from codegen.errors import CodegenError
from codegen.numbers import Numbers
from codegen.tree import Json
from tests.codegen.conftest import Import, Run
from tests.codegen.contracts import NUMBER, contract, envelope, obj, operation

PLAN = "/components/schemas/plan/properties"


def document() -> Json:
    plan = obj(id=NUMBER, traffic_rate_cost=NUMBER, cpu=NUMBER, load=NUMBER)
    reply = envelope("plan", {"$ref": "#/components/schemas/plan"})
    return contract({"/api/v1/plans/{plan_id}": {"get": operation("getPlan", reply=reply)}}, {"plan": plan})


def test_what_nobody_decided_is_named_and_loses_nothing(run: Run, in_package: Import) -> None:
    built = run(document())
    assert built.numbers.undecided == [
        f'"{PLAN}/cpu": "integer|decimal|float"',
        f'"{PLAN}/id": "integer"',
        f'"{PLAN}/load": "integer|decimal|float"',
        f'"{PLAN}/traffic_rate_cost": "decimal"',
    ]
    assert [line for line in built.to_write() if "numbers.lock" in line] == [
        f"openapi/numbers.lock: {line}" for line in built.numbers.undecided
    ]
    code = "from timeweb_sdk.models import Plan; print(Plan(id=1, traffic_rate_cost=1.5, cpu=2, load=0.5))"
    assert in_package(built, code) == "id=1 cpu=2 load=0.5 traffic_rate_cost=1.5"


def test_the_lock_decides(run: Run, in_package: Import) -> None:
    kinds = {"id": "integer", "cpu": "integer", "load": "float", "traffic_rate_cost": "decimal"}
    built = run(document(), numbers={f"{PLAN}/{name}": kind for name, kind in kinds.items()})
    assert built.numbers.undecided == []
    code = "from timeweb_sdk.models import Plan; print(repr(Plan(id=1, traffic_rate_cost='1.5', cpu=2, load=1)))"
    assert in_package(built, code) == "Plan(id=1, cpu=2, load=1.0, traffic_rate_cost=Decimal('1.5'))"


def test_a_decision_about_what_is_gone_leaves_the_lock(run: Run) -> None:
    assert run(document(), numbers={f"{PLAN}/id": "integer", f"{PLAN}/gone": "float"}).numbers.used == {f"{PLAN}/id": "integer"}


def test_a_lock_says_one_of_three() -> None:
    with pytest.raises(CodegenError, match=r"a number is one of integer, decimal, float"):
        Numbers({f"{PLAN}/id": "int"})
