"""The decision to repeat a call, as a pure function."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Literal

import pytest
from hypothesis import example, given, strategies as st

from timeweb_sdk import errors
from timeweb_sdk._core.responses import retry_after
from timeweb_sdk._core.retry import Again, TooLate, asked_wait, decide, may_repeat, slows_down
from timeweb_sdk._core.types import Delivery

deliveries = st.sampled_from(["not_sent", "unknown", "answered"])
statuses = st.none() | st.sampled_from([200, 302, 400, 401, 403, 404, 409, 423, 429, 500, 502, 503, 504])
retries = st.sampled_from(["safe", "unsent"])


def failure(delivery: Delivery, status: int | None, from_edge: bool, asked: float | None = None) -> errors.TimewebError:
    if status is None:
        return errors.TransportError("failed", delivery=delivery)
    error = errors.APIError("failed", delivery=delivery)
    error.status_code, error.from_edge, error.retry_after = status, from_edge, asked
    return error


failures = st.builds(failure, deliveries, statuses, st.booleans())


@given(failures)
def test_what_may_have_been_carried_out_is_not_sent_twice(error: errors.TimewebError) -> None:
    if may_repeat("unsent", error):
        refused = isinstance(error, errors.APIError) and error.status_code in (429, 503) and not error.from_edge
        assert error.delivery == "not_sent" or refused


@given(failures)
def test_whatever_may_be_repeated_for_post_may_be_repeated_for_get(error: errors.TimewebError) -> None:
    assert may_repeat("safe", error) or not may_repeat("unsent", error)


@pytest.mark.parametrize(
    ("delivery", "status", "from_edge", "safe", "unsent"),
    [
        ("not_sent", None, False, True, True),
        ("not_sent", 404, False, True, True),
        ("unknown", None, False, True, False),
        ("answered", 429, False, True, True),
        ("answered", 503, False, True, True),
        ("answered", 429, True, True, False),
        ("answered", 503, True, True, False),
        ("answered", 502, False, True, False),
        ("answered", 500, False, True, False),
        ("answered", 499, False, False, False),
        ("answered", 404, False, False, False),
        ("answered", 404, True, True, False),
        ("answered", 402, True, True, False),
        ("answered", 401, True, False, False),
        ("answered", 403, True, False, False),
    ],
)
def test_what_is_repeated(delivery: Delivery, status: int | None, from_edge: bool, safe: bool, unsent: bool) -> None:
    error = failure(delivery, status, from_edge)
    assert may_repeat("safe", error) is safe
    assert may_repeat("unsent", error) is unsent


@pytest.mark.parametrize(("status", "slow"), [(None, False), (429, True), (503, True), (500, False), (502, False)])
def test_whom_the_neighbours_wait_for(status: int | None, slow: bool) -> None:
    error = failure("answered", status, False, 7.0)
    assert slows_down(error) is slow
    assert asked_wait(error) == (1.0 if status is None else 7.0)
    assert asked_wait(failure("answered", 429, False, None)) == 1.0


@given(st.sampled_from([400, 401, 403, 404, 405, 409, 423]), retries)
def test_the_api_s_own_refusals_are_final(status: int, retry: Literal["safe", "unsent"]) -> None:
    assert not may_repeat(retry, failure("answered", status, from_edge=False))


@given(
    st.builds(failure, deliveries, statuses, st.booleans(), st.none() | st.floats(0, 1000)),
    retries,
    st.integers(1, 10),
    st.floats(0, 200),
    st.integers(0, 5),
)
def test_waits_are_bounded(
    error: errors.TimewebError, retry: Literal["safe", "unsent"], attempt: int, elapsed: float, max_retries: int
) -> None:
    decision = decide(retry, error, attempt=attempt, elapsed=elapsed, max_retries=max_retries, total_timeout=180)
    asked = error.retry_after if isinstance(error, errors.APIError) else None
    if attempt > max_retries:
        assert decision is None
    if isinstance(decision, Again):
        assert 0 <= decision.wait < 180 - elapsed
        assert asked is None or decision.wait == asked
        assert asked is not None or decision.wait <= 30
    if isinstance(decision, TooLate):
        assert elapsed + decision.wait >= 180


def test_the_backoff_grows_and_is_spread() -> None:
    def wait(attempt: int) -> float:
        error = errors.ReadError("x", delivery="unknown")
        decision = decide("safe", error, attempt=attempt, elapsed=0, max_retries=9, total_timeout=180)
        assert isinstance(decision, Again)
        return decision.wait

    early, late = [wait(1) for _ in range(200)], [wait(5) for _ in range(200)]
    assert max(early) <= 1 < max(late) <= 16
    assert len({round(one, 6) for one in late}) > 100


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), (" 0.5 ", 0.5), ("-3", 0), ("soon", None), ("", None), ("inf", None), ("nan", None), ("Mon, 99 Foo", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, 0) == seconds


def test_retry_after_as_a_date() -> None:
    now = float(int(time.time()))
    assert retry_after({"Retry-After": formatdate(now + 90, usegmt=True)}, now) == 90
    assert retry_after({"Retry-After": formatdate(now - 90, usegmt=True)}, now) == 0
    assert retry_after({}, now) is None


def test_a_date_without_a_zone_is_in_gmt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        for value in ("Mon, 01 Jun 2026 12:00:10 -0000", "Mon Jun  1 12:00:10 2026", "Mon, 01 Jun 2026 15:00:10 +0300"):
            assert retry_after({"Retry-After": value}, datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()) == 10
    finally:
        monkeypatch.undo()
        time.tzset()


@example(f"Mon, 01 Jun 2026 12:00:10 +{'9' * 20}")
@given(st.text(max_size=40))
def test_no_retry_after_header_raises(value: str) -> None:
    seconds = retry_after({"Retry-After": value}, 0)
    assert seconds is None or seconds >= 0
