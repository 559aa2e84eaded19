"""Both sides of figures of the page that need no browser."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from crm_adapter.web.candidates import Listing
from crm_adapter.web.errors import HostingError


@pytest.mark.parametrize(
    ("ago", "failures", "old"),
    [(None, {}, False), (59, {}, False), (61, {}, True), (0, {}, False), (0, {"main": HostingError(502, "x", "x")}, True)],
)
def test_a_list_serves_the_dialogs_for_a_minute_unless_an_account_is_missing(
    ago: float | None, failures: dict[str, HostingError], old: bool
) -> None:
    listing = Listing(cast("Any", None))
    listing.ended = None if ago is None else time.monotonic() - ago
    listing.failures = failures
    assert listing.is_old is old
