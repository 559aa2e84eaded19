"""How plain schemas, texts and calls are spelled in Python source; the templates call these functions."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from codegen.operations import Argument, Operation
from codegen.tree import Json

WIDTH = 128

_Scalars = dict[tuple[str, str | None], str]
_RETURNED: _Scalars = {
    ("string", None): "str",
    ("string", "date-time"): "datetime",
    ("string", "password"): "SecretStr",
    ("string", "binary"): "bytes",
    ("string", "decimal"): "Decimal",
    ("integer", None): "int",
    ("number", None): "float",
    ("number", "decimal"): "Decimal",
    ("integer", "decimal"): "Decimal",
    ("boolean", None): "bool",
}
_ACCEPTED = _RETURNED | {
    ("string", "date-time"): "datetime | str",
    ("string", "password"): "SecretStr | str",
    ("string", "binary"): "FileContent",
    ("string", "decimal"): "Decimal | int | str",
    ("number", "decimal"): "Decimal | int | float",
    ("integer", "decimal"): "Decimal | int",
}


@dataclass
class Types:
    """Spells types and remembers which classes and names a module has to import for them."""

    models: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)

    def returned(self, schema: Json | None) -> str:
        """The type of a reply, exact: ``Server``, ``builtins.list[str]``."""
        return "None" if schema is None else self._spelled(schema, _RETURNED)

    def accepted(self, schema: Json, *, closed: bool = False) -> str:
        """The type of an argument, wide: any sequence, a model or its TypedDict, a secret in plain or wrapped."""
        return self._spelled(schema, _ACCEPTED, closed=closed)

    def _spelled(self, schema: Json, scalars: _Scalars, *, closed: bool = False) -> str:
        kind, form, wide = str(schema.get("type")), schema.get("format"), scalars is _ACCEPTED
        if "$ref" in schema:
            text = str(schema["$ref"])
            self.models.add(text)
            if wide:
                self.params.add(text)
                text = f"{text} | {text}Params"
        elif "anyOf" in schema:
            text = " | ".join(dict.fromkeys(self._spelled(branch, scalars) for branch in schema["anyOf"]))
        elif kind == "array":
            text = f"{'Sequence' if wide else 'builtins.list'}[{self._spelled(schema['items'], scalars)}]"
        elif kind == "object":
            values = schema["additionalProperties"]
            held = self._spelled(values, scalars) if isinstance(values, dict) else "Any"
            text = f"{'Mapping' if wide else 'dict'}[str, {held}]"
        elif "enum" in schema:
            text = _literal(schema["enum"]) + ("" if closed else " | str")
        else:
            text = scalars.get((kind, form)) or scalars.get((kind, None), "Any")
        return f"{text} | None" if schema.get("nullable") and text != "Any" else text


def _literal(values: list[Any]) -> str:
    return f"Literal[{', '.join(json.dumps(value, ensure_ascii=False) for value in values)}]"


def merged_body(bodies: list[list[Argument]]) -> list[Argument]:
    """All fields of all variants, once each: required only where every variant requires it."""
    result: dict[str, Argument] = {}
    for body in bodies:
        for argument in body:
            known = result.get(argument.name)
            if known is None:
                result[argument.name] = replace(argument)
            else:
                known.schema = _either(known.schema, argument.schema)
                known.note = known.note or argument.note
    for name, argument in result.items():
        argument.required = all(any(field.name == name and field.required for field in body) for body in bodies)
    return sorted(result.values(), key=lambda argument: not argument.required)


def _either(one: Json, other: Json) -> Json:
    if one == other:
        return one
    if "enum" in one and "enum" in other:
        return {"type": "string", "enum": list(dict.fromkeys([*one["enum"], *other["enum"]]))}
    branches: list[Json] = []
    for schema in (one, other):
        for branch in schema.get("anyOf", [schema]):
            if branch not in branches:
                branches.append(branch)
    return {"anyOf": branches}


def signature(operation: Operation, types: Types, body: list[Argument]) -> str:
    """The parameters of a method after ``self``: path by position, the rest by keyword only."""
    parts = [f"{argument.name}: {types.accepted(argument.schema)}" for argument in operation.path_arguments]
    variants = len(operation.bodies) > 1
    keyword = [_keyword(argument, types, closed=False) for argument in operation.query_arguments]
    keyword += [_keyword(argument, types, closed=variants and len(argument.schema.get("enum", ())) == 1) for argument in body]
    if operation.whole_body is not None:
        keyword.append(f"body: {types.accepted(operation.whole_body)}")
    if operation.content == "binary":
        keyword.append("to: FileTarget | NotGiven = NOT_GIVEN")
    keyword.sort(key=lambda part: part.endswith("= NOT_GIVEN"))
    return ", ".join([*parts, *(["*", *keyword] if keyword else [])])


def _keyword(argument: Argument, types: Types, *, closed: bool) -> str:
    kind = types.accepted(argument.schema, closed=closed)
    return f"{argument.name}: {kind}" if argument.required else f"{argument.name}: {kind} | NotGiven = NOT_GIVEN"


def call(operation: Operation, body: list[Argument], returns: str) -> str:
    """The arguments of ``self._call`` or ``self._list``."""
    parts = [json.dumps(operation.id), returns]
    if operation.path_arguments:
        parts.append(f"path={_mapping(operation.path_arguments)}")
    if operation.query_arguments:
        parts.append(f"query={_mapping(operation.query_arguments)}")
    if operation.whole_body is not None:
        parts.append("body=body")
    elif operation.body == "multipart":
        files = [argument for argument in body if _is_file(argument.schema)]
        values = [argument for argument in body if argument not in files]
        parts += [f"body={_mapping(values)}"] if values else []
        parts.append(f"files={_mapping(files)}")
    elif operation.body:
        parts.append(f"body={_mapping(body)}")
    if operation.content == "binary":
        parts.append("to=to")
    return ", ".join(parts)


def _is_file(schema: Json) -> bool:
    return bool(schema.get("items", schema).get("format") == "binary")


def _mapping(arguments: Iterable[Argument]) -> str:
    return "{" + ", ".join(f"{json.dumps(argument.wire)}: {argument.name}" for argument in arguments) + "}"


_TO = "A path, or a file opened in binary mode, that the content goes into piece by piece; what is returned is empty then."


def docstring(operation: Operation, body: list[Argument], indent: int = 8) -> str:
    """Summary, what it costs or destroys, the arguments that need a word, the endpoint."""
    blocks = [_wrapped(_sentence(operation.summary or f"Call {operation.method} {operation.path}"), indent)]
    if operation.description:
        blocks.append(_wrapped(operation.description.strip(), indent))
    arguments = [*operation.path_arguments, *operation.query_arguments, *body]
    notes = [_wrapped(f"{argument.name}: {argument.note}", indent + 4, hanging=4) for argument in arguments if argument.note]
    if operation.content == "binary":
        notes.append(_wrapped(f"to: {_TO}", indent + 4, hanging=4))
    if notes:
        blocks.append(" " * indent + "Args:\n" + "\n".join(notes))
    blocks.append(" " * indent + f"API: ``{operation.method} {operation.path}``")
    text = "\n\n".join(blocks).strip().replace("\\", "\\\\").replace('"""', "'''")
    if text.endswith('"'):
        text += " "
    return f'"""{text}\n{" " * indent}"""'


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def _wrapped(text: str, indent: int, hanging: int = 0) -> str:
    lines = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    wrapper = textwrap.TextWrapper(
        WIDTH - 8,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n\n".join(wrapper.fill(line) for line in lines)
