"""Step 4: read the operations out of the corrected contract, with everything that the templates need to know of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from codegen.attributes import Endpoint, attributes, split
from codegen.distil import CYRILLIC
from codegen.errors import Problems, at
from codegen.names import pascal, singular, snake
from codegen.normalise import Normaliser, with_notes
from codegen.supported import is_json
from codegen.tree import Json, Where, operations_of, pointer

ENVELOPE_KEYS = frozenset({"response_id", "meta"})
_SHAPES = frozenset({"$ref", "type", "oneOf", "anyOf", "allOf", "additionalProperties"})
"""Keys of which a schema that says anything has one."""


@dataclass
class Argument:
    """One argument of a method: a path or query parameter, or a field of a flattened body."""

    wire: str
    name: str
    schema: Json
    required: bool
    note: str = ""


@dataclass
class Operation:
    """One operation of the contract, named and in plain form."""

    id: str
    method: str
    path: str
    tag: str
    attribute: str
    source: str
    deprecated: bool
    replacement: str | None
    summary: str
    description: str
    path_arguments: list[Argument] = field(default_factory=list)
    query_arguments: list[Argument] = field(default_factory=list)
    bodies: list[list[Argument]] = field(default_factory=list)
    """The variants of a flattened JSON object; one for a plain body, several for a oneOf."""
    body: str | None = None
    """json, json-whole (not an object: one ``body=``), multipart, binary, or None."""
    whole_body: Json | None = None
    data_key: str | None = None
    returns: Json | None = None
    """Plain schema of the payload; None when a success has no body."""
    listing: bool = False
    content: str = "none"

    @property
    def node(self) -> str:
        return self.attribute.rpartition(".")[0]

    @property
    def verb(self) -> str:
        return self.attribute.rpartition(".")[2]

    @property
    def paginated(self) -> bool:
        return self.listing and {"limit", "offset"} <= {argument.wire for argument in self.query_arguments}

    @property
    def payload(self) -> Json | None:
        """Plain schema of what the method returns; None for a deletion that may ask to be confirmed, which it raises."""
        confirmed = self.method == "DELETE" and any(argument.wire == "hash" for argument in self.query_arguments)
        return None if confirmed else self.returns

    @property
    def all_arguments(self) -> list[Argument]:
        bodies = [argument for body in self.bodies for argument in body]
        return [*self.path_arguments, *self.query_arguments, *bodies]


def read_operations(normaliser: Normaliser) -> list[Operation]:
    """Return all operations of the contract in its order; what is wrong with one is noted and does not hide the next."""
    contract = normaliser.contract
    found: list[tuple[Endpoint, Json, Where]] = []
    normaliser.names.follow_moves(contract.get("paths", {}))
    for where, node in operations_of(contract):
        listing = False
        with normaliser.problems.collected():
            listing = _is_listing(_success(node, where, normaliser), normaliser)
        found.append((Endpoint(str(where[2]), str(where[1]), listing, bool(node.get("deprecated"))), node, where))
    proposals = attributes([endpoint for endpoint, _, _ in found])
    named = normaliser.names.attributes({pointer(*where): proposals[endpoint] for endpoint, _, where in found})
    modules = _tag_modules(found)
    operations: list[Operation] = []
    for endpoint, node, where in found:
        tag = (node.get("tags") or ["other"])[0]
        operation = Operation(
            id=node["operationId"],
            method=endpoint.method.upper(),
            path=endpoint.path,
            tag=modules[tag],
            attribute=named[pointer(*where)],
            source=node.get("x-source", "vendor"),
            deprecated=endpoint.deprecated,
            replacement=node.get("x-replacement"),
            summary=node.get("summary", ""),
            description=node.get("description", ""),
        )
        for read in (_read_parameters, _read_body, _read_reply):
            with normaliser.problems.collected():
                read(operation, node, where, normaliser)
        _check_arguments(operation, where, normaliser.problems)
        operations.append(operation)
    _check_unique(operations, normaliser.problems)
    _speak_python(operations, normaliser)
    _drop_missing_replacements(operations)
    return operations


def resources(operations: list[Operation]) -> set[str]:
    """All dotted paths that lead to a resource, those without methods of their own too."""
    return {operation.node[: dot.start()] for operation in operations for dot in re.finditer(r"\.|$", operation.node)}


def _check_arguments(operation: Operation, where: Where, problems: Problems) -> None:
    """Two names of the wire must not become one name in Python, or one of them could not be sent."""
    places = {"path": operation.path_arguments, "query": operation.query_arguments}
    places["body"] = [argument for body in operation.bodies for argument in body]
    whole = [Argument("body", "body", {}, True)] if operation.whole_body is not None else []
    seen: dict[str, tuple[str, str]] = {argument.name: ("body", argument.wire) for argument in whole}
    for kind, arguments in places.items():
        for argument in arguments:
            other = seen.setdefault(argument.name, (kind, argument.wire))
            if other != (kind, argument.wire):
                both = f"{other[0]} {other[1]!r} and {kind} {argument.wire!r}"
                problems.add_at(where, f"{both} would both be the argument {argument.name}; name one in openapi/names.lock")


def _check_unique(operations: list[Operation], problems: Problems) -> None:
    """Ids and attributes are told apart, and no method stands where a resource has to."""
    nodes = resources(operations)
    for operation in operations:
        where = ("paths", operation.path, operation.method.lower())
        if not operation.node:
            problems.add_at(where, f"a path of placeholders alone names no resource, only {operation.attribute!r}")
        elif operation.attribute in nodes:
            text = f"{operation.attribute!r} is a resource too; name the method otherwise in openapi/names.lock"
            problems.add_at(where, text)
    for key in ("id", "attribute"):
        seen: dict[str, Operation] = {}
        for operation in operations:
            value = getattr(operation, key)
            other = seen.setdefault(value, operation)
            if other is not operation:
                where = ("paths", operation.path, operation.method.lower())
                text = f"the {key} {value!r} is also that of {other.method} {other.path}; tell them apart in openapi/names.lock"
                problems.add_at(where, text)


def _speak_python(operations: list[Operation], normaliser: Normaliser) -> None:
    """Texts refer to operations by id, which outlives a renaming; readers get the attribute: ``servers.disks.list``."""
    attributes = {operation.id: operation.attribute for operation in operations if operation.id.lower() != operation.id}
    if not attributes:
        return
    mention = re.compile(rf"\b({'|'.join(map(re.escape, attributes))})\b")

    def spoken(text: str) -> str:
        return mention.sub(lambda match: attributes[match[1]], text)

    for operation in operations:
        operation.summary, operation.description = spoken(operation.summary), spoken(operation.description)
        for argument in operation.all_arguments:
            argument.note = spoken(argument.note)
    for model in normaliser.classes.values():
        model.description = spoken(model.description)
        for schema in model.schema["properties"].values():
            if "description" in schema:
                schema["description"] = spoken(schema["description"])


def _drop_missing_replacements(operations: list[Operation]) -> None:
    """Another bundle may lack what a text recommends; for the committed contract :mod:`codegen.english` insists on it."""
    ids = {operation.id for operation in operations}
    for operation in operations:
        if operation.replacement not in ids:
            operation.replacement = None


def _tag_modules(found: list[tuple[Endpoint, Json, Where]]) -> dict[str, str]:
    """Module name per tag; a tag without an English name is called after the path that most of its operations share."""
    modules: dict[str, str] = {}
    for tag in dict.fromkeys((node.get("tags") or ["other"])[0] for _, node, _ in found):
        if not CYRILLIC.search(tag):
            modules[tag] = snake(tag)
            continue
        heads = [
            [*split(endpoint.path)[1], "other"][0] for endpoint, node, _ in found if (node.get("tags") or [None])[0] == tag
        ]
        modules[tag] = snake(max(sorted(set(heads)), key=heads.count))
    taken: dict[str, str] = {}
    for tag, module in modules.items():
        while module in taken.values():
            module += "_more"
        taken[tag] = module
    return taken


# -- parameters ---------------------------------------------------------------------------------------------------------


def _read_parameters(operation: Operation, node: Json, where: Where, normaliser: Normaliser) -> None:
    """Path parameters follow the path, whatever the contract declares; the rest are query parameters. Headers are ours."""
    notes: dict[str, str] = node.get("x-parameters", {})
    declared: dict[tuple[str, str], Json] = {}
    shared: list[Json] = normaliser.contract["paths"][operation.path].get("parameters", [])
    for i, raw in enumerate([*shared, *node.get("parameters", [])]):
        parameter, _ = normaliser.resolve(raw, (*where, "parameters", i))
        declared[parameter["in"], parameter["name"]] = parameter
    placeholders = re.findall(r"{([^}]+)}", operation.path)
    if len({*placeholders}) < len(placeholders):
        raise at(where, "a placeholder stands in the path twice")
    for placeholder in placeholders:
        parameter = declared.get(("path", placeholder)) or declared.get(("path", placeholder.replace("_", "-"))) or {}
        place = pointer(*where, "parameters", "path", placeholder)
        schema = normaliser.plain(
            parameter.get("schema", {"type": "string"}), (*where, "parameters", placeholder), pascal(placeholder)
        )
        if {"type": "number"} in schema.get("anyOf", [schema]):
            schema = {"type": "integer"}
        schema.pop("nullable", None)
        name = normaliser.names.argument(place, placeholder)
        note = _note(placeholder, name, notes, parameter, normaliser)
        operation.path_arguments.append(Argument(placeholder, name, schema, True, note))
    for (kind, wire), parameter in declared.items():
        if kind != "query":
            continue
        name = normaliser.names.argument(pointer(*where, "parameters", "query", wire), wire.removesuffix("[]"))
        schema = normaliser.plain(parameter.get("schema", {}), (*where, "parameters", wire), pascal(wire))
        if wire in {"limit", "offset"}:
            schema = {"type": "integer"}
        note = _note(wire, name, notes, parameter, normaliser)
        argument = Argument(wire, name, schema, bool(parameter.get("required")), note)
        operation.query_arguments.append(argument)


def _note(wire: str, name: str, notes: dict[str, str], described: Json, normaliser: Normaliser) -> str:
    """The note on an argument: the operation's own, else that of its schema, else what the name means everywhere."""
    everywhere: dict[str, str] = normaliser.contract.get("x-arguments", {})
    return str(notes.get(wire) or described.get("description") or everywhere.get(wire) or everywhere.get(name, ""))


# -- bodies -------------------------------------------------------------------------------------------------------------


def _read_body(operation: Operation, node: Json, where: Where, normaliser: Normaliser) -> None:
    if "requestBody" not in node:
        return
    body, where = normaliser.resolve(node["requestBody"], (*where, "requestBody"))
    content = body.get("content", {})
    if not content:
        return
    media = "application/json" if "application/json" in content else next(iter(content))
    where = (*where, "content", media, "schema")
    raw = content[media].get("schema", {})
    schema, schema_where = normaliser.resolve(raw, where)
    key = "oneOf" if "oneOf" in schema else "anyOf"
    variants = [normaliser.resolve(variant, (*schema_where, key, i)) for i, variant in enumerate(schema.get(key, []))]
    if media == "multipart/form-data":
        operation.body = "multipart"
        operation.bodies = [_fields(operation, schema, schema_where, node.get("x-body", {}), normaliser)]
    elif media != "application/json":
        operation.body = "binary"
        operation.whole_body = {"type": "string", "format": "binary"}
    elif variants and all(variant.get("properties") for variant, _ in variants):
        operation.body = "json"
        for variant, variant_where in variants:
            operation.bodies.append(_fields(operation, variant, variant_where, node.get("x-body", {}), normaliser))
    elif schema.get("properties"):
        operation.body = "json"
        operation.bodies = [_fields(operation, schema, schema_where, node.get("x-body", {}), normaliser)]
    else:
        operation.body = "json-whole"
        operation.whole_body = normaliser.plain(raw, where, pascal(operation.id))


def _fields(operation: Operation, schema: Json, where: Where, notes: dict[str, str], normaliser: Normaliser) -> list[Argument]:
    """Flatten the properties of an object body into arguments."""
    notes = {**schema.get("x-fields", {}), **notes}
    taken = {argument.name for argument in [*operation.path_arguments, *operation.query_arguments]}
    result: list[Argument] = []
    for prop, child in schema.get("properties", {}).items():
        child_where = (*where, "properties", prop)
        place = pointer("paths", operation.path, operation.method.lower(), "requestBody", prop)
        name = normaliser.names.argument(place, prop)
        if name in taken:  # a body field called like a path parameter
            name = f"body_{name}"
        hint = pascal(_noun(operation)) + pascal(prop)
        child = with_notes(child, prop, notes)
        plain = normaliser.plain(child, child_where, hint + "Input" if _holds_object(child, normaliser) else hint)
        note = _note(prop, name, notes, plain, normaliser)
        result.append(Argument(prop, name, plain, prop in schema.get("required", []), note))
    return sorted(result, key=lambda argument: not argument.required)


def _holds_object(schema: Any, normaliser: Normaliser) -> bool:
    return isinstance(schema, dict) and "$ref" not in schema and '"properties"' in repr(schema).replace("'", '"')


def _noun(operation: Operation) -> str:
    """``servers.disks.create`` -> ``server_disk``: what the operation is about."""
    nodes = operation.node.split(".")
    return "_".join(singular(node) for node in nodes[-2:])


# -- replies ------------------------------------------------------------------------------------------------------------


def _success(node: Json, where: Where, normaliser: Normaliser) -> Json:
    """The first success reply with a body: its media type, schema and place; empty when all successes are empty."""
    for status, raw in node.get("responses", {}).items():
        if not status.startswith("2"):
            continue
        reply, reply_where = normaliser.resolve(raw, (*where, "responses", status))
        content = reply.get("content", {})
        for media in sorted(content, key=lambda media: not is_json(media)):
            where = (*reply_where, "content", media, "schema")
            return {"media": media, "schema": content[media].get("schema", {}), "where": where}
    return {}


def _payload(reply: Json, normaliser: Normaliser) -> tuple[str | None, Json, Where]:
    """Look inside the envelope: the key of the payload (None: the body itself), its schema and place."""
    schema, where = normaliser.resolve(reply["schema"], reply["where"])
    data = [key for key in schema.get("properties", {}) if key not in ENVELOPE_KEYS]
    if len(data) == 1 and ("response_id" in schema["properties"] or "meta" in schema["properties"]):
        return data[0], schema["properties"][data[0]], (*where, "properties", data[0])
    return None, schema, where


def _is_listing(reply: Json, normaliser: Normaliser) -> bool:
    if not is_json(reply.get("media", "")):
        return False
    _, payload, where = _payload(reply, normaliser)
    schema, _ = normaliser.resolve(payload, where)
    return schema.get("type") == "array"


def _read_reply(operation: Operation, node: Json, where: Where, normaliser: Normaliser) -> None:
    reply = _success(node, where, normaliser)
    if "media" not in reply:
        return
    if not is_json(reply["media"]):
        operation.content = "text" if "yaml" in reply["media"] or reply["media"].startswith("text/") else "binary"
        operation.returns = {"type": "string"} if operation.content == "text" else {"type": "string", "format": "binary"}
        return
    operation.content = "json"
    operation.data_key, payload, where = _payload(reply, normaliser)
    if operation.data_key is None:
        payload = _without_envelope(payload, node)
        hint = pascal(operation.node.replace(".", "_"))
    else:
        if "properties" in payload:
            payload = {**payload, "x-fields": {**payload.get("x-fields", {}), **node.get("x-response", {})}}
        hint = pascal(singular(_noun(operation)))
    if not payload.get("properties") and not payload.keys() & _SHAPES:
        return
    operation.returns = normaliser.plain(payload, where, hint)
    operation.listing = operation.returns.get("type") == "array"


def _without_envelope(schema: Json, node: Json) -> Json:
    """A body with several payloads becomes one model; the envelope's own keys are not part of it."""
    properties = {key: value for key, value in schema.get("properties", {}).items() if key not in ENVELOPE_KEYS}
    notes = {**schema.get("x-fields", {}), **node.get("x-response", {})}
    if properties:
        return {**schema, "properties": properties, "x-fields": notes}
    return {key: value for key, value in schema.items() if key not in {"properties", "required"}}
