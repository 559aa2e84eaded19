"""Step 2: apply an OpenAPI Overlay 1.0 document, such as ``openapi/overlay.yaml``, to the contract.

An action that changes nothing is an error: the vendor has moved or mended what it corrects, and somebody has to look.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jsonpath
import yaml

from codegen.check_refs import check_refs
from codegen.errors import CodegenError, Problems
from codegen.tree import Json, Where, is_array, is_object

_OVERLAY_KEYS = frozenset({"overlay", "info", "extends", "actions"})
_ACTION_KEYS = frozenset({"target", "description", "update", "remove"})


class Applied(NamedTuple):
    """A corrected document and, under ``allow_unmatched``, one line for each action that changed nothing."""

    document: Json
    unmatched: list[str]


class Action(NamedTuple):
    """One correction, with the label by which errors name it."""

    label: str
    target: str
    kind: Literal["update", "remove"]
    update: Any


def load(path: Path) -> Json:
    """Read an overlay document from a YAML file."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise CodegenError(f"{path.name}: not a YAML document: {error}") from error
    if not is_object(document):
        raise CodegenError(f"{path.name}: an overlay must be a mapping, not {type(document).__name__}")
    return document


def apply(document: Json, overlay: Json, *, source_name: str, allow_unmatched: bool = False) -> Applied:
    """Return a copy of ``document`` with every action of ``overlay`` applied in order.

    Raises CodegenError for a malformed overlay, for a reference that leads nowhere afterwards and, unless
    ``allow_unmatched``, for actions that change nothing; one error names them all.
    """
    result, problems = copy.deepcopy(document), Problems()
    unmatched = [problem for action in actions(overlay, source_name) if (problem := _apply_one(result, action))]
    check_refs(result, problems)
    if problems.found or not allow_unmatched:
        problems.add(*unmatched)
    problems.raise_any()
    return Applied(result, unmatched)


def actions(overlay: Json, source_name: str) -> Iterator[Action]:
    """Check the form of ``overlay`` and yield its actions."""
    if not str(overlay.get("overlay", "")).startswith("1."):
        raise CodegenError(f"{source_name}: not an OpenAPI Overlay 1 document: overlay is {overlay.get('overlay')!r}")
    _no_unknown_keys(overlay, _OVERLAY_KEYS, source_name)
    for index, action in enumerate(overlay.get("actions") or ()):
        where = f"{source_name}: actions[{index}]"
        if not is_object(action) or not isinstance(action.get("target"), str):
            raise CodegenError(f"{where}: an action needs a target, a JSONPath expression")
        label = f"{where} ({action['target']})"
        _no_unknown_keys(action, _ACTION_KEYS, label)
        if action.get("remove") is True:
            yield Action(label, action["target"], "remove", None)
        elif "update" in action:
            yield Action(label, action["target"], "update", action["update"])
        else:
            raise CodegenError(f"{label}: an action needs update or remove: true")


def _no_unknown_keys(mapping: Json, known: Iterable[str], label: str) -> None:
    unknown = sorted(str(key) for key in mapping if key not in known and not str(key).startswith("x-"))
    if unknown:
        raise CodegenError(f"{label}: unknown key {', '.join(unknown)}; an extension starts with x-")


def _apply_one(document: Json, action: Action) -> str | None:
    """Apply ``action`` in place; return the problem if it had nothing to do."""
    locations = _matches(document, action)
    if not locations:
        return f"{action.label}: matches nothing; the contract has changed, look at it and mend or drop the action"
    if action.kind == "remove":
        _remove(document, locations, action)
        return None
    changes = [_update(_node(document, location), action) for location in locations]
    return None if any(changes) else f"{action.label}: changes nothing, the contract already says so; drop the action"


@lru_cache(maxsize=4096)
def _compiled(target: str) -> jsonpath.JSONPath | jsonpath.CompoundJSONPath:
    return jsonpath.compile(target)


def _matches(document: Json, action: Action) -> list[Where]:
    try:
        # python-jsonpath yields the same node twice where two selectors of one target reach it
        return list(dict.fromkeys(match.parts for match in _compiled(action.target).finditer(document)))
    except jsonpath.JSONPathError as error:
        raise CodegenError(f"{action.label}: not a valid JSONPath: {error}") from error


def _node(document: Any, location: Where) -> Any:
    for part in location:
        document = document[part]
    return document


def _remove(document: Json, locations: list[Where], action: Action) -> None:
    if () in locations:
        raise CodegenError(f"{action.label}: the whole document cannot be removed")
    containers = [(_node(document, location[:-1]), location[-1]) for location in locations]
    # the highest index first, so that those still to go stay where they are; keys of objects have no order
    for container, key in sorted(containers, key=lambda entry: entry[1] if isinstance(entry[1], int) else -1, reverse=True):
        del container[key]


def _update(node: Any, action: Action) -> bool:
    if is_array(node):
        return _append(node, [action.update])
    if is_object(node) and is_object(action.update):
        return _merge(node, action.update)
    raise CodegenError(f"{action.label}: an update needs an object or an array, the target is {type(node).__name__}")


def _merge(node: Json, update: Json) -> bool:
    """Merge as the overlay specification says: objects deeply, arrays by appending, anything else by replacing."""
    changed = False
    for key, value in update.items():
        old = node.get(key)
        if is_object(old) and is_object(value):
            changed |= _merge(old, value)
        elif is_array(old) and is_array(value):
            changed |= _append(old, value)
        elif key not in node or old != value:
            node[key] = copy.deepcopy(value)
            changed = True
    return changed


def _append(node: list[Any], values: list[Any]) -> bool:
    """Append what is not there yet: ``enum``, ``required`` and ``parameters`` are sets, though written as arrays."""
    new = [copy.deepcopy(value) for value in values if value not in node]
    node += new
    return bool(new)
