"""The SDK as Python callers see it: methods with their arguments, and models with their fields.

Two surfaces are what a changelog compares (see `codegen.changelog`): however the contract was rewritten, only what a caller
must do differently is a change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from codegen.normalise import ModelClass, closure
from codegen.operations import Operation
from codegen.render import Types, merged_body, signature
from codegen.tree import Json


@dataclass(frozen=True)
class Value:
    """What an argument takes, a field holds or a method returns."""

    type: frozenset[str]
    """The branches of a union, spelled as Python types without the values of enums: `{"int", "None"}`."""
    values: frozenset[str] = frozenset()
    """Known values of all enums in it, however deep."""
    required: bool = True
    default: str = ""
    """What the API takes where the argument is left out, as JSON; empty where the contract does not say."""

    def __str__(self) -> str:
        return " | ".join(sorted(self.type, key=lambda branch: (branch == "None", branch)))


Values = dict[str, Value]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Method:
    """One public method; `servers.list`."""

    attribute: str
    endpoint: str
    """`GET /api/v1/servers`"""
    source: str
    """`vendor`, or `overlay` where the contract lacks it."""
    deprecated: bool
    arguments: Values
    returns: Value
    signature: str
    """As in the source, but short: `(server_id: int, *, name: str = ..., status: Literal[...] = ...) -> Server`."""


@dataclass(frozen=True)
class Surface:
    """All methods by attribute and all models by name."""

    methods: dict[str, Method] = field(default_factory=dict[str, Method])
    models: dict[str, Values] = field(default_factory=dict[str, Values])
    sent: frozenset[str] = frozenset()
    """Models that an argument can hold."""
    received: frozenset[str] = frozenset()
    """Models that a reply can hold."""


def read(operations: list[Operation], classes: dict[str, ModelClass]) -> Surface:
    """Collect the surface of compiled operations and classes."""
    methods = {operation.attribute: _method(operation) for operation in operations}
    models = {name: _fields(model) for name, model in classes.items()}
    arguments = [argument.schema for operation in operations for argument in operation.all_arguments]
    sent = [*arguments, *(operation.whole_body for operation in operations if operation.whole_body)]
    received = [operation.returns for operation in operations if operation.returns]
    return Surface(methods, models, frozenset(closure(sent, classes)), frozenset(closure(received, classes)))


def _method(operation: Operation) -> Method:
    body = merged_body(operation.bodies)
    given = operation.path_arguments + operation.query_arguments + body
    arguments = {argument.name: _value(argument.schema, required=argument.required) for argument in given}
    if operation.whole_body is not None:
        arguments["body"] = _value(operation.whole_body)
    returns = _value(operation.payload) if operation.payload else Value(frozenset({"None"}))
    taken = signature(operation, Types(), body)
    return Method(
        operation.attribute,
        f"{operation.method} {operation.path}",
        operation.source,
        operation.deprecated,
        arguments,
        returns,
        _short(f"({taken}) -> {Types().returned(operation.payload)}"),
    )


def _short(signature: str) -> str:
    """Leave out what a reader of a changelog does not need: how absence is spelled, and the values of enums."""
    signature = signature.replace(" | NotGiven = NOT_GIVEN", " = ...").replace("builtins.", "")
    return re.sub(r"Literal\[[^\]]*\] \| str", "str", signature)


def _fields(model: ModelClass) -> Values:
    required = model.schema["required"]
    return {name: _value(schema, required=name in required) for name, schema in model.schema["properties"].items()}


def _value(schema: Json, *, required: bool = True) -> Value:
    default = json.dumps(schema["default"]) if "default" in schema else ""
    return Value(frozenset(_branches(schema)), frozenset(_enumerated(schema)), required, default)


def _branches(schema: Json) -> Iterator[str]:
    """Spell a schema without the values of its enums, so that a new value does not look like a new type."""
    if schema.get("nullable"):
        yield "None"
    if "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from _branches(branch)
    elif schema.get("type") == "array":
        yield f"list[{Value(frozenset(_branches(schema['items'])))}]"
    elif schema.get("type") == "object" and isinstance(schema["additionalProperties"], dict):
        yield f"dict[str, {Value(frozenset(_branches(schema['additionalProperties'])))}]"
    else:
        bare = {key: part for key, part in schema.items() if key not in {"enum", "nullable", "default"}}
        yield Types().returned(bare)


def _enumerated(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (str(value) for value in schema.get("enum", ()))
        for value in schema.values():
            yield from _enumerated(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _enumerated(value)


def renamed(value: Value, names: dict[str, str]) -> Value:
    """Spell a value with other class names, to compare what is the same but for a rename."""
    return replace(value, type=frozenset(_WORD.sub(lambda word: names.get(word[0], word[0]), branch) for branch in value.type))


def classes_in(value: Value) -> set[str]:
    """Every word of a type; those that are classes are a caller's to pick."""
    return {word for branch in value.type for word in _WORD.findall(branch)}
