"""From the bytes of a successful reply to its data: fast first, tolerant second.

The fast path is one pass of pydantic's own JSON parser over the whole envelope. Only a reply that differs from the
contract takes the other path, which keeps what came and says where it was odd.
"""

import json
import logging
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, NotRequired, get_origin

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from timeweb_sdk._core.guards import is_object
from timeweb_sdk._core.lenient import Leniency, adapter_of, fits, honest, plain, replaced
from timeweb_sdk._core.model import DecodeIssue, Model
from timeweb_sdk._core.operation import Operation

_log = logging.getLogger("timeweb_sdk.decode")
_ABSENT = object()
_META = frozenset({"meta", "response_id"})
_NUMBERS = re.compile(r"(?:^|\.)\d+(?=\.|$)")


@dataclass(slots=True)
class Decoded:
    """The payload of a reply, and what its envelope says."""

    data: Any = field(repr=False)
    total: int | None = None
    response_id: str | None = None
    issues: tuple[DecodeIssue, ...] = ()
    body: Any = field(default=None, repr=False)
    """What came although nothing was promised, or something else."""


class NotPromised(Exception):
    """The body is not of the kind that the endpoint promises: no JSON, a bare number, an object about something else."""


class Mismatch(Exception):
    """Strict decoding found that the reply differs from the contract."""

    def __init__(self, issues: tuple[DecodeIssue, ...], response_id: str | None) -> None:
        super().__init__(issues)
        self.issues = issues
        self.response_id = response_id


def decode(operation: Operation, returns: Any, content: bytes, *, strict: bool = False) -> Decoded:
    """Decode a JSON body; raises NotPromised, and Mismatch if `strict`."""
    try:
        if operation.data_key is None:
            return _unwrapped(adapter_of(returns).validate_json(content))
        envelope = _envelope(operation.data_key, returns).validate_json(content)
        return Decoded(envelope["data"], _total(envelope.get("meta")), _text(envelope.get("response_id")))
    except ValidationError:
        with suppress(RecursionError):
            return _decode_leniently(operation, returns, content, strict)
    raise NotPromised


def _unwrapped(data: Any) -> Decoded:
    """Take the envelope's own fields out of a payload that has none around it."""
    fields = data.__pydantic_extra__ if isinstance(data, Model) else data
    if not is_object(fields):
        return Decoded(data)
    return Decoded(data, _total(fields.pop("meta", None)), _text(fields.pop("response_id", None)))


def _decode_leniently(operation: Operation, returns: Any, content: bytes, strict: bool) -> Decoded:
    body, is_sound = parse(content)
    meta = body if is_object(body) else {}
    total, response_id = _total(meta.get("meta")), _text(meta.get("response_id"))
    leniency = Leniency()
    if not is_sound:
        leniency.note(operation.data_key or "", "json_invalid")
    key, payload = _find_payload(operation.data_key, body, returns)
    if not _is_promised(returns, body, found=payload is not _ABSENT or strict):
        raise NotPromised
    if operation.data_key is not None and key != operation.data_key:
        leniency.note(operation.data_key, "missing")
    data = None if payload is _ABSENT else leniency.decode_odd(returns, payload)
    issues = (*leniency.issues(), *(() if is_sound else replaced(data)))
    if strict and issues:
        raise Mismatch(issues, response_id)
    warn(operation, issues)
    return Decoded(data, total, response_id, issues)


def _is_promised(returns: Any, body: Any, *, found: bool) -> bool:
    """Tell whether the body is of the promised kind. A list may be anything: its page says that it is not complete."""
    if body is None or get_origin(returns) is list:
        return True
    if is_object(body):
        return found or body.keys() <= _META
    return fits(returns, body)


def parse(content: bytes) -> tuple[Any, bool]:
    """Return what the JSON holds, with whole numbers of any size, and whether it is sound; raises NotPromised.

    One bad character does not cost the whole reply: what is no UTF-8, and halves of surrogate pairs, which no text
    in UTF-8 can hold, are replaced.
    """
    try:
        return from_json(content), True
    except ValueError:
        pass
    try:
        body = json.loads(content.decode(json.detect_encoding(content), "replace"), strict=False)
        whole = json.dumps(body, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return json.loads(whole), False
    except (ValueError, RecursionError) as error:
        raise NotPromised from error


def _find_payload(data_key: str | None, body: Any, returns: Any) -> tuple[str | None, Any]:
    """Find the payload where it should be, alone under another key, or without an envelope; returns its key and itself."""
    if not is_object(body):
        return None, body
    rest = {key: value for key, value in body.items() if key not in _META}
    if data_key is None:
        return None, rest
    for key in rest:
        if plain(key) == plain(data_key):
            return data_key, rest[key]
    fitting = [key for key, value in rest.items() if isinstance(value, (dict, list)) and fits(returns, value)]
    is_bare = fits(returns, rest)
    if len(fitting) == 1 and (len(rest) == 1 or not is_bare):
        return fitting[0], rest[fitting[0]]
    return None, rest if is_bare else _ABSENT


@lru_cache(maxsize=1024)
def _envelope(data_key: str, returns: Any) -> TypeAdapter[dict[str, Any]]:
    """Build the adapter of `{data_key: payload, meta, response_id}`; live keys differ from documented ones by - and _."""
    keys = AliasChoices(data_key, *({data_key.replace("-", "_"), data_key.replace("_", "-")} - {data_key}))
    fields = {
        "data": Annotated[honest(returns), Field(validation_alias=keys)],
        "meta": NotRequired[Any],
        "response_id": NotRequired[Any],
    }
    return TypeAdapter(TypedDict("Envelope", fields))  # type: ignore[operator]


def _total(meta: Any) -> int | None:
    total = meta.get("total") if is_object(meta) else None
    if isinstance(total, bool) or not isinstance(total, (int, float, str)):
        return None
    try:
        number = int(total)
    except (ValueError, OverflowError):  # a text, or infinite
        return None
    return number if number >= 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


_warned: set[tuple[str, str]] = set()


def warn(operation: Operation, issues: tuple[DecodeIssue, ...]) -> None:
    """Say once per place that a reply differs from the contract."""
    for issue in issues:
        place = _NUMBERS.sub("[]", issue.path)
        if (operation.id, place) not in _warned:
            _warned.add((operation.id, place))
            _log.warning("%s: the reply differs from the contract at %s: %s", operation.id, place or "the payload", issue.kind)
