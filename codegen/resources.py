"""Step 6: resources, the operation table and the lazy facades, rendered from one set of templates for sync and async."""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from codegen.errors import CodegenError
from codegen.names import pascal
from codegen.normalise import ModelClass, referenced
from codegen.operations import Argument, Operation
from codegen.render import WIDTH, Types, call, docstring, merged_body, signature
from codegen.tree import Json

NAMESPACES = "namespaces"
"""Module of the nodes without operations of their own whose children belong to several tags."""

_VERBS = ("list", "get", "create", "update", "delete")
"""In this order a resource is read; actions follow, by their names."""
_ITEM_KEYS = ("id", "fqdn", "name", "ip", "address")


@dataclass(frozen=True)
class Flavour:
    """Sync or async: all that differs between the two surfaces."""

    prefix: str
    keyword: str
    await_: str
    page: str
    responding: str


FLAVOURS = (
    Flavour("", "", "", "Page", "responding"),
    Flavour("Async", "async ", "await ", "AsyncPage", "aresponding"),
)


@dataclass
class Method:
    """One method of a resource, in source form."""

    name: str
    signature: str
    variants: list[str]
    returns: str
    listing: bool
    call: str
    docstring: str
    deprecated: str | None
    hidden: list[str]
    """Parameters that are a secret or may hold one."""
    is_twin: bool = False
    """Spelled like a deprecated method of the module, for which basedpyright takes it under ``with_response``."""

    def annotation(self, flavour: Flavour) -> str:
        return f"{flavour.page}[{self.returns}]" if self.listing else self.returns


@dataclass
class Node:
    """A resource: what a dot on the client leads to."""

    path: str
    text: str = ""
    """What the thing is, in one line of ``openapi/english.yaml``."""
    module: str = ""
    operations: list[Operation] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)
    waits: str | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def class_name(self) -> str:
        return pascal(self.path.replace(".", "_")) + "Resource"  # without it tw.container_registry would clash with its model

    @property
    def view_name(self) -> str:
        """What type checkers take ``with_response`` for."""
        return pascal(self.path.replace(".", "_")) + "WithResponse"

    @property
    def doc(self) -> str:
        """Docstring of the class; the attribute that leads here gets the first line only."""
        verbs = [operation.verb for operation in self.operations] + [f"{child.name} (resource)" for child in self.children]
        offers = "\n".join(textwrap.wrap(", ".join(verbs) + ".", WIDTH - 8, initial_indent="    ", subsequent_indent="    "))
        return f"""{self.text or f"What ``client.{self.path}`` offers."}\n\n{offers}\n    """


def _reading_order(operation: Operation) -> tuple[int, str]:
    verb = operation.verb.partition("_")[0]
    return _VERBS.index(verb) if verb in _VERBS else len(_VERBS), operation.verb


def build_tree(operations: list[Operation]) -> dict[str, Node]:
    """Return all nodes by their dotted path, parents before children."""
    nodes: dict[str, Node] = {}
    for operation in operations:
        parts = operation.node.split(".")
        for depth in range(1, len(parts) + 1):
            path = ".".join(parts[:depth])
            if path not in nodes:
                nodes[path] = Node(path)
                if depth > 1:
                    nodes[".".join(parts[: depth - 1])].children.append(nodes[path])
        nodes[operation.node].operations.append(operation)
    for path in sorted(nodes, key=lambda path: -path.count(".")):
        node = nodes[path]
        node.operations.sort(key=_reading_order)
        own = [operation.tag for operation in node.operations]
        below = {child.module for child in node.children}
        node.module = max(own, key=own.count) if own else below.pop() if len(below) == 1 else NAMESPACES
    return nodes


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python source, not HTML
    )


def empty_module() -> str:
    """The source of a module of resources without any: what it binds is taken."""
    nothing: dict[str, Any] = dict.fromkeys(("nodes", "views", "foreign", "model_imports", "params_imports"), ())
    return _environment().get_template("resources.py.jinja").render(header="", module="", flavours=FLAVOURS, **nothing)


def render(
    operations: list[Operation],
    classes: dict[str, ModelClass],
    assigned: dict[str, str],
    params: set[str],
    header: str,
    texts: dict[str, str],
) -> dict[str, str]:
    """Return ``file name -> source`` below ``_generated`` for everything but the models themselves."""
    environment = _environment()
    nodes = build_tree(operations)
    for path, node in nodes.items():
        node.text = texts.get(path, "")
    spelled = {
        flavour.prefix + name for node in nodes.values() for name in (node.class_name, node.view_name) for flavour in FLAVOURS
    }
    if clash := spelled & classes.keys():
        raise CodegenError(f"models may not be called like resources; rename in openapi/names.lock: {', '.join(sorted(clash))}")
    by_id = {operation.id: operation for operation in operations}
    by_module: dict[str, list[Node]] = defaultdict(list)
    for node in nodes.values():
        by_module[node.module].append(node)
    files: dict[str, str] = {
        "__init__.py": f"{header}\n",
        "resources/__init__.py": f"{header}\n",
    }
    template = environment.get_template("resources.py.jinja")
    for module, members in by_module.items():
        types = Types()
        for node in members:
            node.methods = [_method(operation, types, by_id, classes) for operation in node.operations]
            node.waits = _waits(node, classes)
        methods = [method for node in members for method in node.methods]
        old = {(method.name, method.signature, method.returns) for method in methods if method.deprecated}
        for method in methods:
            method.is_twin = method.listing and (method.name, method.signature, method.returns) in old
        foreign: dict[str, set[str]] = defaultdict(set)
        for child in [child for node in members for child in node.children if child.module != module]:
            foreign[child.module] |= {flavour.prefix + child.class_name for flavour in FLAVOURS}
        files[f"resources/{module}.py"] = template.render(
            header=header,
            module=module,
            nodes=members,
            views=[node for node in members if node.methods],
            flavours=FLAVOURS,
            foreign=_sorted(foreign),
            model_imports=_grouped(types.models, assigned, ""),
            params_imports=_grouped(types.params, assigned, "Params"),
        )
    top = [node for path, node in nodes.items() if "." not in path]
    imports: dict[str, set[str]] = defaultdict(set)
    for node in top:
        imports[node.module] |= {flavour.prefix + node.class_name for flavour in FLAVOURS}
    files["client.py"] = environment.get_template("client.py.jinja").render(
        header=header, nodes=sorted(top, key=lambda node: node.name), flavours=FLAVOURS, imports=_sorted(imports)
    )
    rows = [{"id": json.dumps(operation.id), "arguments": _row(operation, classes)} for operation in operations]
    files["operation_table.py"] = environment.get_template("operation_table.py.jinja").render(header=header, rows=rows)
    facade = environment.get_template("facade.py.jinja")
    for package, names, suffix in (("models", set(classes), ""), ("params", params, "Params")):
        files[f"{package}/__init__.py"] = facade.render(
            header=header,
            package=package,
            imports=_grouped(names, assigned, suffix),
            all_names=sorted(name + suffix for name in names),
        )
    return files


def _grouped(names: set[str], assigned: dict[str, str], suffix: str) -> list[tuple[str, list[str]]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[assigned[name]].add(name + suffix)
    return _sorted(groups)


def _sorted(groups: dict[str, set[str]]) -> list[tuple[str, list[str]]]:
    return [(module, sorted(names)) for module, names in sorted(groups.items())]


def _method(operation: Operation, types: Types, by_id: dict[str, Operation], classes: dict[str, ModelClass]) -> Method:
    body = merged_body(operation.bodies)
    payload = operation.payload
    listing = operation.listing and payload is not None
    returns = types.returned(payload["items"] if listing and payload else payload)
    deprecated = None
    if operation.deprecated:
        better = by_id.get(operation.replacement or "")
        deprecated = json.dumps(f"Deprecated by Timeweb; use {better.attribute}" if better else "Deprecated by Timeweb")
    variants = [signature(operation, types, fields) for fields in operation.bodies] if len(operation.bodies) > 1 else []
    return Method(
        name=operation.verb,
        signature=signature(operation, types, body),
        variants=variants,
        returns=returns,
        listing=listing,
        call=call(operation, body, returns),
        docstring=docstring(operation, body),
        deprecated=deprecated,
        hidden=_hidden(operation, body, classes),
    )


_CONFIRMATION = frozenset({"hash", "code"})
"""What confirms a deletion."""


def _hidden(operation: Operation, body: list[Argument], classes: dict[str, ModelClass]) -> list[str]:
    schemas = {argument.name: argument.schema for argument in [*operation.query_arguments, *body]}
    if operation.whole_body is not None:
        schemas["body"] = operation.whole_body
    return [name for name, schema in schemas.items() if name in _CONFIRMATION or _may_hold_secret(schema, classes)]


def _may_hold_secret(schema: Json, classes: dict[str, ModelClass]) -> bool:
    """Whether a value of a plain schema is a secret or has a place for one: a field that is one, or whose name is open."""
    waiting = [schema]
    seen: set[str] = set()
    while waiting:
        part = waiting.pop()
        if part.get("format") == "password" or part.get("additionalProperties"):
            return True
        waiting += [*part.get("anyOf", []), *part.get("properties", {}).values()]
        waiting += [part["items"]] if "items" in part else []
        if "$ref" in part and part["$ref"] not in seen:
            seen.add(part["$ref"])
            waiting.append(classes[part["$ref"]].schema)
    return False


def _waits(node: Node, classes: dict[str, ModelClass]) -> str | None:
    """The model of a resource that can be waited for: got by one id, and with a status."""
    for operation in node.operations:
        if operation.verb == "get" and len(operation.path_arguments) == 1 and operation.returns and "$ref" in operation.returns:
            name = str(operation.returns["$ref"])
            if "status" in classes[name].schema["properties"] and not operation.deprecated:
                return name
    return None


def _row(operation: Operation, classes: dict[str, ModelClass]) -> str:
    """Keyword arguments of one ``Operation``; what equals the default is left out."""
    fields: dict[str, object] = {
        "id": operation.id,
        "method": operation.method,
        "path": operation.path,
        "attribute": operation.attribute,
        "tag": operation.tag,
        "source": operation.source,
        "deprecated": operation.deprecated,
        "replacement": operation.replacement,
        "listing": operation.listing,
        "paginated": operation.paginated,
        "retry": "unsent" if operation.method in {"POST", "PATCH"} else "safe",
        "data_key": operation.data_key,
        "item_key": _item_key(operation, classes) if operation.listing else None,
        "content": operation.content,
        "body": "json" if operation.body == "json-whole" else operation.body,
        "path_params": tuple(argument.wire for argument in operation.path_arguments),
        "query_params": tuple(argument.wire for argument in operation.query_arguments),
    }
    return ", ".join(f"{key}={_literal(value)}" for key, value in fields.items() if value not in (None, False, (), "vendor"))


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + "".join(f"{_literal(item)}, " for item in value) + ")"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _item_key(operation: Operation, classes: dict[str, ModelClass]) -> str | None:
    """The field that tells items apart; items without an id are told apart by their content unless one field must be unique."""
    items = (operation.returns or {}).get("items", {})
    names = list(referenced(items))
    if not names or "$ref" not in items:
        return None
    schema = classes[names[0]].schema
    keys = _ITEM_KEYS if operation.paginated else _ITEM_KEYS[:1]
    return next((key for key in keys if key in schema["properties"] and (key == "id" or key in schema["required"])), None)
