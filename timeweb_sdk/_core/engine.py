"""One call from beginning to end, without IO.

`perform` is a coroutine that awaits commands alone: what is to be done (wait, send, ask Redis). It is given the result,
or has the error thrown into it, and returns the response. The drivers carry the commands out, with threads or with tasks.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from timeweb_sdk._core.bodies import Reply, Timeouts
from timeweb_sdk._core.call import Call
from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.commands import Send, Sleep
from timeweb_sdk._core.decode import Decoded
from timeweb_sdk._core.events import Event, Kind, emit
from timeweb_sdk._core.options import Options
from timeweb_sdk._core.pacing import Gate, Pace, Permit
from timeweb_sdk._core.request import Request, build
from timeweb_sdk._core.response import Response
from timeweb_sdk._core.responses import interpret
from timeweb_sdk._core.transport import CONNECT_TIMEOUT
from timeweb_sdk._core.types import Delivery
from timeweb_sdk.errors import (
    APIError,
    DeadlineExceeded,
    DecodeError,
    NotFoundError,
    ReadOnlyError,
    ResponseTooLarge,
    ServerError,
    TimewebError,
    TransportError,
    UnauthorizedError,
)

_log = logging.getLogger("timeweb_sdk")


@dataclass(slots=True)
class Execution:
    """A call on its way."""

    call: Call
    options: Options
    gates: tuple[Gate, ...]
    clock: Clock
    token: SecretStr
    token_source: str
    is_gone: Callable[[], bool] | None = None
    """Whether whoever makes the call can never go on."""
    attempt: int = 0
    elapsed: float = 0.0
    """Seconds that the last attempt took."""
    delivery: Delivery = "not_sent"
    """Of all attempts so far, that of the one in the strongest doubt."""
    may_be_done: bool = False
    """An attempt may have had its effect."""
    is_lost: bool = False
    """An attempt got no answer of the API: if its object is gone now, it was the one that deleted it."""


async def perform(run: Execution) -> Response[Any]:
    """Carry out a call; raises the errors of timeweb_sdk.errors, each knowing its operation, attempts and delivery."""
    pace: Pace | None = None
    try:
        _check_allowed(run)
        request = build(run.call)
        request.transfer.operation = run.call.operation.id
        request.transfer.max_bytes = run.options.max_response_bytes
        request.transfer.progress = run.options.progress
        pace = Pace(run.clock, run.options.total_timeout)
        return await _repeat(run, request, pace)
    except TimewebError as error:
        error.operation, error.call = run.call.operation.id, run.call.written()
        if isinstance(error, UnauthorizedError):
            error.args = (f"{error.message}; it came from {run.token_source}",)
        error.attempts = run.attempt
        if pace is not None:
            _log_call(run, type(error).__name__, getattr(error, "response_id", None), pace)
        _add_up(run, error)
        error.delivery, error.may_be_done = run.delivery, run.may_be_done
        raise


_DOUBT: dict[Delivery, int] = {"not_sent": 0, "answered": 1, "unknown": 2}


def _add_up(run: Execution, error: TimewebError) -> None:
    """Add what is known of one attempt to what is known of the call: the strongest doubt wins."""
    run.delivery = max(run.delivery, error.delivery, key=_DOUBT.__getitem__)
    # The API's 503 is a refusal; its other errors may strike after the deed, and what cannot be decoded is done.
    is_fault = isinstance(error, ServerError) and error.status_code != 503
    in_doubt = error.delivery == "unknown" or is_fault or isinstance(error, (DecodeError, ResponseTooLarge))
    run.may_be_done |= in_doubt and run.call.operation.method not in ("GET", "HEAD", "OPTIONS")
    lost_by_proxy = isinstance(error, APIError) and error.from_edge and error.status_code >= 500
    run.is_lost |= (error.delivery == "unknown" and not isinstance(error, APIError)) or lost_by_proxy


def _check_allowed(run: Execution) -> None:
    operation = run.call.operation
    if run.options.read_only and operation.method != "GET":
        raise ReadOnlyError(f"this client is read-only and {operation.method} {operation.path} may change something")


async def _repeat(run: Execution, request: Request, pace: Pace) -> Response[Any]:
    while True:
        failure: TransportError | APIError
        try:
            reply = await _send(run, request, pace)
            decoded = _interpret(run, request, reply)
        except (TransportError, APIError) as error:
            failure = error
        else:
            return _response(run, reply.status, reply.headers, decoded, pace)
        if run.is_lost and request.method == "DELETE" and isinstance(failure, NotFoundError):
            return _response(run, failure.status_code, {}, Decoded(None, response_id=failure.response_id), pace)
        _add_up(run, failure)
        await _wait_to_repeat(run, request, failure, pace)


def _interpret(run: Execution, request: Request, reply: Reply) -> Decoded:
    try:
        decoded = interpret(run.call, reply, strict=run.options.strict, token=run.token, now=run.clock.time())
    except TimewebError as error:
        _log_attempt(run, request, reply.status, getattr(error, "response_id", None))
        raise
    _log_attempt(run, request, reply.status, decoded.response_id)
    return decoded


async def _send(run: Execution, request: Request, pace: Pace) -> Reply:
    """Send once, when the limits allow it."""
    result: Reply | TransportError
    async with Permit(run.gates, pace, run.is_gone) as permit:
        await permit.acquire()
        began = run.clock.monotonic()
        permit.begin(began)
        run.attempt += 1
        left = max(pace.deadline - began, 0.001)
        longest = run.options.timeout if request.transfer.is_streamed else min(run.options.timeout, left)
        timeouts = Timeouts(min(CONNECT_TIMEOUT, run.options.timeout, left), longest, pace.deadline)
        _tell(run, request, "request")
        try:
            result = await Send(request, timeouts)
        except TransportError as error:
            result = error
        finally:
            if request.transfer.is_streamed:
                # A file takes as long as it takes: what bounds it is the time without progress.
                pace.stand_still(run.clock.monotonic() - began)
    elapsed = run.elapsed = run.clock.monotonic() - began
    if isinstance(result, TransportError):
        _log_attempt(run, request, type(result).__name__, None)
        _tell(run, request, "response", error=type(result).__name__, elapsed=elapsed)
        raise result
    _tell(run, request, "response", status_code=result.status, elapsed=elapsed)
    return result


async def _wait_to_repeat(run: Execution, request: Request, failure: TransportError | APIError, pace: Pace) -> None:
    """Wait until the request may be sent again; raises the failure if it may not, DeadlineExceeded if not in time."""
    try:
        # tenacity is loaded when something fails for the first time, not with the library.
        from timeweb_sdk._core.retry import Again, TooLate, asked_wait, decide, slows_down
    except ImportError:  # the interpreter ends, and loads nothing any more
        raise failure from None

    options = run.options
    elapsed = run.clock.monotonic() - pace.started
    decision = None
    if not request.transfer.is_spent:
        decision = decide(
            run.call.operation.retry,
            failure,
            attempt=run.attempt,
            elapsed=elapsed,
            max_retries=options.max_retries,
            total_timeout=options.total_timeout,
        )
    if run.gates and slows_down(failure):
        wait = asked_wait(failure) if decision is None else decision.wait
        await run.gates[0].penalise(run.clock.monotonic(), wait, pace.deadline)
    if isinstance(decision, Again):
        _tell(run, request, "retry", error=type(failure).__name__, wait=decision.wait)
        pace.waited += decision.wait
        await Sleep(decision.wait)
    elif isinstance(decision, TooLate):
        raise DeadlineExceeded(
            f"{failure.message}; the wait of {decision.wait:.1f} s before the next attempt passes "
            f"total_timeout={options.total_timeout:g} s",
            asked=decision.wait,
        ) from failure
    elif elapsed >= options.total_timeout:
        raise DeadlineExceeded(f"{failure.message}; total_timeout={options.total_timeout:g} s is over") from failure
    else:
        raise failure


def _response(run: Execution, status: int, headers: Any, decoded: Decoded, pace: Pace) -> Response[Any]:
    _log_call(run, status, decoded.response_id, pace)
    told = (decoded.total, decoded.issues, decoded.body)
    return Response(decoded.data, headers, status, decoded.response_id, run.attempt, pace.waited, *told)


def _log_attempt(run: Execution, request: Request, result: object, response_id: str | None) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        known = f", response_id {response_id}" if response_id else ""
        _log.debug(
            "%s %s %s attempt %d: %s in %.3f s%s",
            run.call.operation.id,
            request.method,
            request.path,
            run.attempt,
            result,
            run.elapsed,
            known,
        )


def _log_call(run: Execution, result: object, response_id: str | None, pace: Pace) -> None:
    if _log.isEnabledFor(logging.INFO):
        attempts = f"{run.attempt} attempt{'' if run.attempt == 1 else 's'}"
        known = f", response_id {response_id}" if response_id else ""
        elapsed = run.clock.monotonic() - pace.started
        _log.info("%s: %s after %s in %.3f s%s", run.call.written(), result, attempts, elapsed, known)


def _tell(
    run: Execution,
    request: Request,
    kind: Kind,
    *,
    status_code: int | None = None,
    error: str | None = None,
    elapsed: float | None = None,
    wait: float | None = None,
) -> None:
    if run.options.hooks:
        event = Event(kind, run.call.operation.id, request.method, request.path, run.attempt, status_code, error, elapsed, wait)
        emit(run.options.hooks, event)
