"""The seventeen invariants; tests/crm/sabotage shows that each of these tests can fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crm.database import close_kept
from tests.crm.invariants import INVARIANTS, RECORDED, record_lives


@pytest.fixture(scope="module", autouse=True)
def recorded_lives() -> Iterator[None]:
    record_lives()
    close_kept()
    yield
    RECORDED.clear()


@pytest.mark.parametrize("number", INVARIANTS, ids=[f"{number:02}-{check.__name__}" for number, check in INVARIANTS.items()])
def test_invariant(number: int) -> None:
    INVARIANTS[number]()
