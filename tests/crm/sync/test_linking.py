"""Which typed row is which server: both halves of each rule."""

from __future__ import annotations

from typing import Any

import pytest

from crm_adapter.db.rows import State, StoredRow
from crm_adapter.sync.linking import Links, is_linkable, match
from tests.crm.sync.values import server_values, typed

ONE = server_values(1)


@pytest.mark.parametrize(
    ("row", "linkable"),
    [
        (typed(), True),
        (typed(timeweb_id=5), False),
        (typed(status="closed"), False),
        (typed(status="overdue"), True),
        (typed(state=State()), True),
        (typed(state=State(unlinked_from=1001)), False),
    ],
)
def test_a_row_that_may_be_given_a_server(row: StoredRow, linkable: bool) -> None:
    assert is_linkable(row) is linkable


def test_one_public_address_on_both_sides_links() -> None:
    row = typed(7)
    own = typed(8, ip_address="203.0.113.1/24", server_name="x")
    assert match([ONE], [row], "ip").linked == {}
    assert match([ONE], [row, own], "ip") == Links(linked={1001: own})
    assert match([ONE], [own], "suggest") == Links(suggested={1001: own})
    assert match([server_values(1, public_ipv4=())], [own], "ip") == Links()


def test_what_is_not_unique_is_a_conflict_for_everybody() -> None:
    first, second = typed(7, ip_address="203.0.113.1", server_name="x"), typed(8, ip_address="203.0.113.1", server_name="y")
    assert match([ONE], [first, second], "ip") == Links(conflicts={1001: (first, second)})
    twin = server_values(2, public_ipv4=ONE.public_ipv4)
    assert match([ONE, twin], [first], "suggest") == Links(conflicts={1001: (first,), 1002: (first,)})
    # A second address that another row has is as ambiguous.
    both = server_values(1, public_ipv4=("203.0.113.1", "203.0.113.8"))
    assert match([both], [first, typed(8)], "ip").conflicts == {1001: (first, typed(8))}


def test_an_equal_name_is_told_where_no_address_is() -> None:
    named = typed(7, ip_address=None, server_name=" WEB-1 ")
    assert match([ONE], [named], "ip") == Links(alike={1001: named})
    assert match([ONE], [named], "suggest") == Links(alike={1001: named})
    assert match([ONE], [named, typed(8, ip_address=None, server_name="web-1")], "ip") == Links()
    own = typed(9, ip_address="203.0.113.1", server_name="y")
    assert match([ONE], [named, own], "ip") == Links(linked={1001: own})
    for nameless in (None, "  "):
        assert match([server_values(1, server_name=nameless)], [typed(7, ip_address=None, server_name="")], "ip") == Links()


@pytest.mark.parametrize("policy", ["off", "ip", "suggest"])
def test_a_server_that_a_human_took_off_is_remembered_under_every_policy(policy: Any) -> None:
    rows = [typed(1, state=State(unlinked_from=1001)), typed(2, state=State(), ip_address=None, server_name="x")]
    assert match([ONE], rows, policy) == Links(unlinked=frozenset({1001}))
    assert match([ONE], [typed(1)], "off") == Links()
