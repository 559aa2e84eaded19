"""The house rules for ``openapi/english.yaml``: every operation and model is explained, in English, with its price or its loss.

``python -m codegen check`` applies them to the committed contract, so that an operation that the vendor adds stays red until
somebody has said what it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from codegen.distil import CYRILLIC
from codegen.names import words
from codegen.normalise import ModelClass, referenced
from codegen.operations import Operation, resources
from codegen.tree import Json, operations_of

_FILLER = frozenset({"a", "an", "the", "of", "in", "on", "to", "for", "by", "with", "and", "or", "its", "all", "one"}) | {
    *("some", "this", "that", "get", "list", "create", "update", "delete"),
}
_COST = re.compile(r"charg|bill|free\b|cost|price|paid|fee\b|RUB|balance|without extra|buys|orders?\b|renew", re.IGNORECASE)
_LOSS = re.compile(
    r"los[est]|destroy|irrevers|undone|interrupt|stop|restart|reboot|reset|break|discard|keeps?\b|stays?\b|remain|revok|remov|"
    r"unreachable|falls back|refused|no longer|gone|cut|detach|return|free|untouched|harmless|drop|eras|forget|revert|withdraw|"
    r"delet\w+ .* (with|and)|chang",
    re.IGNORECASE,
)
_PRICED = frozenset({"preset_id", "configuration", "configurator", "configurator_id", "token_package_id", "package_id"})
"""Arguments by which something with a price is chosen."""


def problems(operations: list[Operation], classes: Iterable[ModelClass], described: Json) -> list[str]:
    """Return one line per text that is missing or says nothing; an empty list is a pass."""
    found: list[str] = []
    for operation in operations:
        found += [f"{operation.id}: {problem}" for problem in _of_operation(operation)]
    found += [
        f"x-resources: no text on {path}" for path in sorted(resources(operations) - texts_of_resources(described).keys())
    ]
    found += [f"{model.name} ({model.pointer}): no description" for model in classes if _needs_description(model)]
    ids = {operation.id for operation in operations}
    for (_, path, method), node in operations_of(described):
        if (replacement := node.get("x-replacement")) and replacement not in ids:
            found.append(f"{str(method).upper()} {path}: x-replacement names {replacement!r}, which does not exist")
    return found


def texts_of_resources(described: Json) -> dict[str, str]:
    """What each resource is, in one line, by its dotted path."""
    return dict(described.get("x-resources", {}))


def stale_notes(operations: list[Operation], classes: dict[str, ModelClass], described: Json) -> list[str]:
    """Return one line per note on what does not exist; the rest of its text still counts."""
    stale = sorted(texts_of_resources(described).keys() - resources(operations))
    found = [f"x-resources: {path!r} is not there" for path in stale]
    for operation in operations:
        node = described["paths"][operation.path][operation.method.lower()]
        body = {argument.wire for variant in operation.bodies for argument in variant}
        known = {
            "x-parameters": {argument.wire for argument in [*operation.path_arguments, *operation.query_arguments]},
            "x-body": body | _fields(operation.whole_body, classes),
            "x-response": _fields(operation.returns, classes) | {operation.data_key or ""},
        }
        for key, names in known.items():
            stale = [note for note in node.get(key, {}) if note.partition(".")[0] not in names]
            found += [f"{operation.id}: {key}: {note!r} is not there" for note in stale]
    for name, schema in described.get("components", {}).get("schemas", {}).items():
        if "properties" in schema:
            stale = [note for note in schema.get("x-fields", {}) if note.partition(".")[0] not in schema["properties"]]
            found += [f"component {name}: x-fields: {note!r} is not there" for note in stale]
    return found


def _fields(schema: Json | None, classes: dict[str, ModelClass]) -> set[str]:
    """The fields of the classes that a plain schema mentions."""
    return {prop for name in referenced(schema) for prop in classes[name].schema["properties"]}


def _needs_description(model: ModelClass) -> bool:
    """Inline objects are explained where they stand, by the note on their field."""
    return not model.description and model.pointer.startswith("/components/") and model.pointer.count("/") == 3


def _of_operation(operation: Operation) -> Iterable[str]:
    text = f"{operation.summary} {operation.description}"
    if CYRILLIC.search(text):
        yield "the text is not English"
    if len(operation.summary) > 100:
        yield f"the summary has {len(operation.summary)} characters; say it in 100"
    if not operation.summary:
        yield "no summary"
    elif not _new_words(operation):
        yield f"the summary only repeats the operation's name: {operation.summary!r}"
    if not operation.description:
        yield "no description"
    priced = {argument.name for body in operation.bodies for argument in body} & _PRICED
    if (priced or operation.verb == "clone") and not _COST.search(text):
        yield "does not say what it costs"
    if operation.method == "DELETE" and not _LOSS.search(text):
        yield "does not say what is lost, stopped or kept"
    unexplained = dict.fromkeys(argument.wire for argument in operation.all_arguments if not argument.note)
    noted = {argument.wire for argument in operation.all_arguments if argument.note}
    yield from (f"no note on {wire}" for wire in unexplained if wire not in noted)


def _new_words(operation: Operation) -> set[str]:
    """The words of the summary that its id and path do not already say."""
    known = {_stem(word) for word in [*words(operation.id), *words(operation.path)]}
    return {_stem(word) for word in words(operation.summary)} - known - {_stem(word) for word in _FILLER}


def _stem(word: str) -> str:
    return word.rstrip("s")
