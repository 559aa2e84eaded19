"""What a reply means: data, or which error."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from math import isfinite
from typing import Any

from pydantic import SecretStr

from timeweb_sdk import errors
from timeweb_sdk._core.bodies import Reply
from timeweb_sdk._core.call import Call
from timeweb_sdk._core.decode import Decoded, Mismatch, NotPromised, decode, parse, warn
from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk._core.lenient import replaced
from timeweb_sdk._core.model import DecodeIssue
from timeweb_sdk._core.request import secrets_of
from timeweb_sdk._core.secrets import mask, scrub_reply
from timeweb_sdk._core.types import NOT_GIVEN
from timeweb_sdk.errors import APIError, ConfirmationRequired, DecodeError, EdgeError, ServerError
from timeweb_sdk.secrets import redact

_ENVELOPE = frozenset({"status_code", "error_code", "message", "response_id"})
_BY_STATUS: dict[int, type[APIError]] = {
    400: errors.BadRequestError,
    401: errors.UnauthorizedError,
    403: errors.ForbiddenError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.BadRequestError,
    423: errors.LockedError,
    429: errors.RateLimitError,
}
_WHATEVER_THE_BODY = frozenset({401, 403, 429})


class RawBody:
    """Stands for the type of what `request` returns: the body as it came."""


def interpret(call: Call, reply: Reply, *, strict: bool, token: SecretStr, now: float) -> Decoded:
    """Return the data of a reply; raises an APIError, ConfirmationRequired or DecodeError. `now` is seconds since the epoch."""
    if not 200 <= reply.status < 300:
        raise error_of(reply, token, now, secrets_of(call))
    if not reply.readable:
        raise _edge(reply, "a body that cannot be decompressed", now)
    if reply.is_saved:
        return Decoded(b"")
    if not reply.content.strip():
        return Decoded(None)
    _check_confirmation(call, reply)
    if call.returns is RawBody:
        return _raw(call, reply, now)
    content = call.operation.content
    if content == "json" and call.returns is not None:
        failure: APIError | DecodeError
        try:
            return decode(call.operation, call.returns, reply.content, strict=strict)
        except NotPromised:
            if call.operation.method != "GET" and not _is_html(reply):
                return _unexpected(call, reply, strict=strict)
            failure = _edge(reply, "a body of another kind than promised", now)
        except Mismatch as mismatch:
            failure = _decode_error(mismatch)
        # Out here the error has no context, whose frames would hold the body.
        raise failure
    if _is_html(reply):
        raise _edge(reply, "a page of HTML", now)
    if call.returns is None:
        return Decoded(None, body=_masked_body(reply))
    return Decoded(reply.content.decode("utf-8", "replace") if content == "text" else bytes(reply.content))


def _unexpected(call: Call, reply: Reply, *, strict: bool) -> Decoded:
    """A success after which something has changed is no failure, whatever its body lacks."""
    issues = (DecodeIssue("", "missing"),)
    if strict:
        raise _decode_error(Mismatch(issues, _response_id(_envelope(reply))))
    warn(call.operation, issues)
    return Decoded(None, response_id=_response_id(_envelope(reply)), issues=issues, body=_masked_body(reply))


def _masked_body(reply: Reply) -> Any:
    """The body that nobody promised, as JSON or as text."""
    try:
        return mask("", parse(reply.content)[0])
    except NotPromised:
        return reply.content.decode("utf-8", "replace")


def error_of(reply: Reply, token: SecretStr, now: float, sent: Collection[str] = ()) -> APIError:
    """Return the error that a reply with an error status stands for; a redirect is one, as it is never followed."""
    body = _envelope(reply)
    hide = partial(scrub_reply, token=token, sent=sent)
    given = body.get("error_code")
    code = hide(given) if isinstance(given, str) and given else None
    canonical = code is not None
    if reply.status >= 500:
        kind: type[APIError] = ServerError
    elif reply.status in _WHATEVER_THE_BODY or (canonical and reply.status >= 400):
        kind = _BY_STATUS.get(reply.status, APIError)
    else:
        kind = EdgeError
    messages: list[str] = []
    details: dict[str, Any] = {}
    with suppress(RecursionError):  # an object nested without end tells nobody anything
        messages = _messages(body.get("message"), hide)
        details = redact({key: value for key, value in body.items() if key not in _ENVELOPE}, hide=hide)
    # Whatever an edge says, the request may have passed it. An empty 401 is the API's: so it refuses a wrong token.
    is_own = canonical or (reply.status == 401 and not reply.content.strip())
    error = kind(_summary(reply, code, messages), delivery="answered" if is_own else "unknown")
    error.status_code = reply.status
    error.error_code = code
    error.messages = messages
    response_id = _response_id(body)
    error.response_id = hide(response_id) if response_id is not None else None
    error.from_edge = not canonical
    error.retry_after = retry_after(reply.headers, now)
    error.details = details or None
    return error


def _summary(reply: Reply, code: str | None, messages: list[str]) -> str:
    told = f": {'; '.join(messages)}" if messages else ""
    if reply.status == 401 and (code is not None or not reply.content.strip()):
        return f"401{told}: the token is wrong, expired or revoked"
    if code is not None:
        return f"{reply.status} {code}{told}"
    if 300 <= reply.status < 400:
        return (
            f"{reply.status}: the reply redirects elsewhere, and redirects are never followed: they would take the token along"
        )
    return f"{reply.status} from something before the API ({_kind_of(reply)}){told}"


def _kind_of(reply: Reply) -> str:
    if not reply.content.strip():
        return "an empty body"
    content_type = reply.headers.get("content-type", "").partition(";")[0].strip()
    return f"{content_type or 'a body of no type'}, no error code"


def _edge(reply: Reply, what: str, now: float) -> EdgeError:
    error = EdgeError(f"{reply.status} with {what}: it does not come from the API", delivery="unknown")
    error.status_code = reply.status
    error.from_edge = True
    error.retry_after = retry_after(reply.headers, now)
    return error


def _decode_error(mismatch: Mismatch) -> DecodeError:
    places = ", ".join(f"{issue.path or 'the payload'} ({issue.kind})" for issue in mismatch.issues[:5])
    more = f" and {len(mismatch.issues) - 5} more" if len(mismatch.issues) > 5 else ""
    error = DecodeError(f"the reply differs from the contract at {places}{more}", delivery="answered")
    error.issues = mismatch.issues
    error.response_id = mismatch.response_id
    return error


def _check_confirmation(call: Call, reply: Reply) -> None:
    """A deletion that answers with a hash has not happened yet, unless its code was right and the object is in quarantine."""
    if call.operation.method != "DELETE":
        return
    has_code = call.query.get("code", NOT_GIVEN) not in (NOT_GIVEN, None)
    body = _envelope(reply)
    for value in body.values():
        confirmation = value.get("hash") if is_object(value) else None
        if isinstance(confirmation, str) and confirmation and not (has_code and value.get("is_moved_in_quarantine") is True):
            error = ConfirmationRequired(
                (
                    "the code was not accepted"
                    if has_code
                    else "the deletion needs the code that was sent to the account's owner"
                )
                + ": repeat it with hash=error.hash and code=…",
                delivery="answered",
            )
            error.hash = confirmation
            error.response_id = _response_id(body)
            raise error


def _raw(call: Call, reply: Reply, now: float) -> Decoded:
    if _is_html(reply):
        raise _edge(reply, "a page of HTML", now)
    content_type = reply.headers.get("content-type", "")
    if "json" in content_type or reply.content.lstrip()[:1] in (b"{", b"["):
        with suppress(NotPromised):
            body, is_sound = parse(reply.content)
            issues = () if is_sound else replaced(body)
            warn(call.operation, issues)
            return Decoded(body, response_id=_response_id(body) if is_object(body) else None, issues=issues)
        if call.operation.method == "GET":
            raise _edge(reply, "a body that is not JSON", now)
    return Decoded(reply.content.decode("utf-8", "replace") if content_type.startswith("text/") else bytes(reply.content))


def _envelope(reply: Reply) -> dict[str, Any]:
    """Return the body if it is a JSON object, else an empty one."""
    try:
        body, _ = parse(reply.content)
    except NotPromised:
        return {}
    return body if is_object(body) else {}


def _messages(message: Any, hide: Callable[[str], str]) -> list[str]:
    parts = message if is_array(message) else [message]
    return [hide(part if isinstance(part, str) else str(redact(part, hide=hide))) for part in parts if part is not None]


def _response_id(body: Mapping[str, Any]) -> str | None:
    value = body.get("response_id")
    return value if isinstance(value, str) else None


def _is_html(reply: Reply) -> bool:
    return "html" in reply.headers.get("content-type", "") or reply.content.lstrip()[:15].lower().startswith(
        (b"<!doctype", b"<html")
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the reply asks to wait; the header holds seconds or a date."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
            # A date of HTTP is in GMT, also where it does not say so.
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if isfinite(seconds) else None
