"""Whether and when a call is repeated: one pure decision, made of tenacity's stop, wait and retry objects.

tenacity's own loop calls and sleeps. Here drivers do both, so nothing may be called from inside the loop: `decide` builds
the `RetryCallState` that the loop would have built and asks the policy's objects, whose protocol is one call with that
state. What is taken from tenacity so is the randomised exponential wait and the names that people know; what would be
taken by its `iter()` is a state per loop, and with it the purity of the decision.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)
from tenacity.wait import wait_base

from timeweb_sdk.errors import APIError, TimewebError

_SLOW_DOWN = (429, 503)


def may_repeat(retry: Literal["safe", "unsent"], error: TimewebError) -> bool:
    """Tell whether a request may be sent again; `retry` is "safe" for GET, PUT and DELETE, "unsent" for POST and PATCH."""
    if error.delivery == "not_sent":
        return True
    if not isinstance(error, APIError):
        return retry == "safe"
    if retry == "unsent":
        # The API's own refusal says that nothing was done. What an edge says, in any status and with any wait, says
        # nothing about what lies behind it: Varnish asks to come back in 5 s after the effect as well.
        return error.status_code in _SLOW_DOWN and not error.from_edge
    if error.status_code == 429 or error.status_code >= 500:
        return True
    return error.from_edge and error.status_code not in (401, 403)


def slows_down(error: TimewebError) -> bool:
    """Tell whether the neighbours on the endpoint must wait as well."""
    return isinstance(error, APIError) and error.status_code in _SLOW_DOWN


def asked_wait(error: TimewebError) -> float:
    """Return the seconds that the neighbours wait although this call is not repeated."""
    asked = error.retry_after if isinstance(error, APIError) else None
    return 1.0 if asked is None else asked


@dataclass(frozen=True, slots=True)
class Again:
    """Repeat after `wait` seconds."""

    wait: float


@dataclass(frozen=True, slots=True)
class TooLate:
    """It could be repeated, but the wait asked for passes the deadline."""

    wait: float


class _AskedFor(wait_base):
    """Wait as long as the reply asks; else let `otherwise` decide."""

    def __init__(self, otherwise: wait_base) -> None:
        self._otherwise = otherwise

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.retry_after if isinstance(error, APIError) else None
        return self._otherwise(retry_state) if asked is None else asked


@lru_cache(maxsize=64)
def _policy(retry: Literal["safe", "unsent"], max_retries: int) -> Retrying:
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, TimewebError) and may_repeat(retry, error)),
        stop=stop_after_attempt(max_retries + 1),
        wait=_AskedFor(wait_random_exponential(multiplier=1, max=30)),
    )


def decide(
    retry: Literal["safe", "unsent"],
    error: TimewebError,
    *,
    attempt: int,
    elapsed: float,
    max_retries: int,
    total_timeout: float,
) -> Again | TooLate | None:
    """Return when to send the request again; None means never. `elapsed` is seconds since the call began."""
    policy = _policy(retry, max_retries)
    state = RetryCallState(policy, None, (), {})
    state.set_exception((type(error), error, None))
    state.attempt_number = attempt
    state.start_time, state.outcome_timestamp = 0.0, elapsed
    if not policy.retry(state) or policy.stop(state):
        return None
    state.upcoming_sleep = policy.wait(state)
    if stop_before_delay(total_timeout)(state):
        return TooLate(state.upcoming_sleep)
    return Again(state.upcoming_sleep)
