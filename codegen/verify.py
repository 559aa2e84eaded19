"""`python -m codegen verify --from BUNDLE`: decode the vendor's documented bodies with the built models.

Where the documentation shows a whole body it is taken; elsewhere the body is put together from the examples of its fields.
What comes out are places and kinds of disagreement, never a value: the vendor's examples are not ours to repeat. It takes
the bundle as it is published, which `python -m codegen update` has at hand; `openapi/disagreements.txt` keeps what came out.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from types import GenericAlias, NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from codegen.check_refs import check_refs
from codegen.documents import OPENAPI, read_json
from codegen.errors import Problems
from codegen.tree import Json, Where, is_object, operations_of, pointer, resolved

DISAGREEMENTS = OPENAPI / "disagreements.txt"


class Body(NamedTuple):
    """A documented success body."""

    operation: str
    """``GET /api/v1/servers``"""
    where: Where
    value: Any


class Issue(NamedTuple):
    """One place where a documented body and the models disagree."""

    pointer: str
    kind: str


def report(source: Path, *, write: bool) -> None:
    """Print the issues of a bundle; with `write` keep them, and print those that are new."""
    bundle, problems = read_json(source), Problems()
    check_refs(bundle, problems)
    problems.raise_any()
    found = list(bodies(bundle))
    issues = verify(found)
    lines = [f"{issue.pointer}: {issue.kind}" for issue in issues]
    known = DISAGREEMENTS.read_text(encoding="utf-8").splitlines() if write and DISAGREEMENTS.exists() else []
    if write:
        DISAGREEMENTS.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    new = [line for line in lines if line not in known]
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(issue.kind for issue in issues).most_common())
    print(*new, f"{len(found)} documented bodies, {len(issues)} issues" + (f": {kinds}" if kinds else ""), sep="\n")


# -- the documented bodies ------------------------------------------------------------------------------------------------


def bodies(bundle: Json) -> Iterator[Body]:
    """Yield the JSON bodies that the bundle documents for success answers."""
    for (_, path, method), node in operations_of(bundle):
        for status, response in node.get("responses", {}).items():
            if status.startswith("2"):
                where: Where = ("paths", path, method, "responses", status)
                yield from _of_response(bundle, f"{str(method).upper()} {path}", response, where)


def _of_response(bundle: Json, operation: str, response: Json, where: Where) -> Iterator[Body]:
    response, where = resolved(bundle, response, where)
    media = response.get("content", {}).get("application/json")
    if media is None:
        return
    where = (*where, "content", "application/json")
    if "example" in media:
        yield Body(operation, (*where, "example"), media["example"])
    for name, example in media.get("examples", {}).items():
        yield Body(operation, (*where, "examples", name, "value"), example.get("value"))
    if "example" not in media and not media.get("examples") and "schema" in media:
        yield Body(operation, (*where, "schema"), _example(bundle, media["schema"], ()))


_MISSING: Any = object()


def _example(bundle: Json, schema: Json, inside: Where) -> Any:
    """Put an example together from those of the fields; ``_MISSING`` where nothing is shown."""
    ref = schema.get("$ref")
    if ref is not None:
        return _MISSING if ref in inside else _example(bundle, resolved(bundle, schema, ())[0], (*inside, ref))
    if "example" in schema:
        return schema["example"]
    if "allOf" in schema:
        parts = [_example(bundle, part, inside) for part in schema["allOf"]]
        objects = [part for part in parts if is_object(part)]
        if objects:
            return {key: value for part in objects for key, value in part.items()}
        return parts[0] if len(parts) == 1 else _MISSING
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return _example(bundle, schema[key][0], inside)
    if "properties" in schema:
        values = {name: _example(bundle, child, inside) for name, child in schema["properties"].items()}
        return {name: value for name, value in values.items() if value is not _MISSING}
    if "items" in schema:
        item = _example(bundle, schema["items"], inside)
        return [] if item is _MISSING else [item]
    if schema.get("enum"):
        return schema["enum"][0]
    return _default(schema)


def _default(schema: Json) -> Any:
    """A value for a field that the documentation leaves without an example."""
    if schema.get("nullable"):
        return None
    formats = {"date-time": "2020-01-01T00:00:00Z", "uuid": "00000000-0000-4000-8000-000000000000"}
    values = {"string": formats.get(schema.get("format", ""), "text"), "integer": 1, "number": 1, "boolean": True, "object": {}}
    return values.get(schema.get("type", ""), _MISSING)


# -- decoding -------------------------------------------------------------------------------------------------------------


def verify(found: list[Body]) -> list[Issue]:
    """Decode every body as the client would and return the disagreements, in the order of the contract."""
    from timeweb_sdk._core.decode import NotPromised, decode

    known = {f"{operation.method} {operation.path}": (operation, returns) for operation, returns in _return_types()}
    issues: list[Issue] = []
    decode_log = logging.getLogger("timeweb_sdk.decode")
    was_disabled, decode_log.disabled = decode_log.disabled, True
    try:
        for body in found:
            where = pointer(*body.where)
            if body.operation not in known:
                issues.append(Issue(where, "the built package has no such operation"))
                continue
            operation, returns = known[body.operation]
            if returns is None and {"hash", "code"} <= set(operation.query_params):
                continue  # asks for confirmation: the client raises instead of returning
            if returns is None:
                issues.append(Issue(where, "the built method returns nothing"))
                continue
            try:
                decoded = decode(operation, returns, json.dumps(body.value).encode())
            except NotPromised:
                issues.append(Issue(where, "another kind of body than promised"))
                continue
            for issue in decoded.issues:
                parts = issue.path.split(".") if issue.path else []
                if operation.data_key and not (issue.kind == "missing" and issue.path == operation.data_key):
                    parts = [operation.data_key, *parts]  # the envelope around the payload
                issues.append(Issue(pointer(*body.where, *parts), issue.kind))
    finally:
        decode_log.disabled = was_disabled
    return issues


def _return_types() -> Iterator[tuple[Any, Any]]:
    """Yield every operation with the type that its method decodes to, as the generated method states it."""
    from timeweb_sdk import Page, Timeweb
    from timeweb_sdk.operations import OPERATIONS

    client = Timeweb("unused")
    for operation in OPERATIONS.values():
        returns = get_type_hints(attrgetter(operation.attribute)(client))["return"]
        if get_origin(returns) is Page:
            returns = GenericAlias(list, get_args(returns))
        yield operation, None if returns is NoneType else returns
