"""The control API under `/_emulator`: state, requests seen, faults, clock.

It takes no token, so pages of other sites that are open in a browser on this machine must not reach it: it answers no
request that another site started, and none under a host name that such a site could point here (DNS rebinding).
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk.testing._billing import with_figures
from timeweb_sdk.testing._clock import iso
from timeweb_sdk.testing._http import Request, Response, json_response

if TYPE_CHECKING:
    from timeweb_sdk.testing.emulator import Emulator


_API_HOST = "api.timeweb.cloud"
"""What clients within the process call the emulator."""
_RESERVED = frozenset({"localhost", "test", "example", "invalid", "internal", "local"})
"""Top-level domains in which nobody can register a name."""


def control(emulator: Emulator, request: Request) -> Response:
    """Answer one control request; a mistake in it is a 400 that names the mistake, one from elsewhere a 403."""
    refusal = _refusal(request, emulator.host)
    if refusal is not None:
        return json_response(403, {"error": refusal})
    action = _ROUTES.get((request.method, request.path.removeprefix("/_emulator").strip("/")))
    if action is None:
        known = sorted(f"{method} /_emulator/{name}" for method, name in _ROUTES)
        return json_response(404, {"error": f"no {request.method} {request.path}; there are: {', '.join(known)}"})
    try:
        body: Any = json.loads(request.body) if request.body.strip() else {}
        return json_response(200, action(emulator, body))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        return json_response(400, {"error": str(error)})


def _refusal(request: Request, own: str | None) -> str | None:
    """Why this request is none of ours; None where it is."""
    host = request.headers.get("host", "")
    name = _host_name(host)
    if host and not _is_ours(name, own):
        return f"the control API does not answer to the host name {name!r}: use an IP address, localhost or --host {name}"
    # Browsers say where a request comes from; other programs say neither of these.
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "the control API does not answer pages of other sites"
    origin = request.headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        return f"the control API does not answer pages of other sites, and this one is of {origin}"
    return None


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # no browser sends brackets that do not match
        return ""


def _is_ours(name: str, own: str | None) -> bool:
    """Whether nobody else can make this name lead here; one without a dot is of this machine or its own network."""
    if name in (own, _API_HOST) or "." not in name or name.rsplit(".", 1)[1] in _RESERVED:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _get_state(emulator: Emulator, _: Any) -> Any:
    return with_figures(emulator.account)


def _put_state(emulator: Emulator, body: Any) -> Any:
    emulator.load(body)
    return _get_state(emulator, None)


def _patch_state(emulator: Emulator, body: Any) -> Any:
    emulator.load({**emulator.state, **body})
    return _get_state(emulator, None)


def _get_requests(emulator: Emulator, _: Any) -> Any:
    seen = [{**record, "body": _readable(record["body"])} for record in emulator.requests]
    return {"requests": seen, "meta": {"total": len(seen)}}


def _delete_requests(emulator: Emulator, _: Any) -> Any:
    emulator.requests.clear()
    return {"requests": [], "meta": {"total": 0}}


def _get_faults(emulator: Emulator, _: Any) -> Any:
    return {"faults": [fault.as_dict() for fault in emulator.faults]}


def _post_faults(emulator: Emulator, body: Any) -> Any:
    if is_object(body) and "profile" in body:
        emulator.add_profile(str(body["profile"]))
    else:
        for fault in body if is_array(body) else [body]:
            if not is_object(fault):
                raise ValueError(f"a fault must be an object, not {type(fault).__name__}")
            emulator.add_fault(fault)
    return _get_faults(emulator, None)


def _put_faults(emulator: Emulator, body: Any) -> Any:
    before = list(emulator.faults)
    emulator.faults.clear()
    try:
        return _post_faults(emulator, body)
    except (ValueError, TypeError):
        emulator.faults[:] = before
        raise


def _delete_faults(emulator: Emulator, _: Any) -> Any:
    emulator.faults.clear()
    return {"faults": []}


def _get_clock(emulator: Emulator, _: Any) -> Any:
    return {"now": iso(emulator.clock.now())}


def _post_clock(emulator: Emulator, body: Any) -> Any:
    seconds: Any = body.get("advance") if is_object(body) else None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 1e9:
        raise ValueError('the clock takes {"advance": SECONDS} with a number from 0 to 1e9')
    emulator.advance(seconds)
    return _get_clock(emulator, None)


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


_ROUTES = {
    ("GET", "state"): _get_state,
    ("PUT", "state"): _put_state,
    ("POST", "state"): _put_state,
    ("PATCH", "state"): _patch_state,
    ("GET", "requests"): _get_requests,
    ("DELETE", "requests"): _delete_requests,
    ("GET", "faults"): _get_faults,
    ("POST", "faults"): _post_faults,
    ("PUT", "faults"): _put_faults,
    ("DELETE", "faults"): _delete_faults,
    ("GET", "clock"): _get_clock,
    ("POST", "clock"): _post_clock,
}
