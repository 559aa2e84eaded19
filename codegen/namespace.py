"""Names that are taken before the contract names anything: read from the templates, the generator and the hand-written bases.

A component called ``model-v3`` must not become the class ``Model`` of which all others are made, a field ``str`` must not hide
the type that the method passes on, and a path ``/close`` must not take the way to close a client.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from codegen.documents import ROOT
from codegen.models import generate_models, generate_params
from codegen.names import Taken
from codegen.normalise import FORMATS, ModelClass
from codegen.render import Types
from codegen.tree import Json

_BASES = {
    "client.py": ("Timeweb", "AsyncTimeweb"),
    "_core/resource.py": ("Resource", "AsyncResource"),
    "_core/waiters.py": ("Waits", "AsyncWaits"),
}
"""Classes that the generated attributes are added to, by their modules."""
_SCALARS: list[Json] = [
    *({"type": kind} for kind in ("string", "integer", "number", "boolean")),
    *({"type": "string", "format": form} for form in sorted(FORMATS)),
    {"type": "string", "enum": ["a"]},
    {},
]
_SAMPLE: list[Json] = [
    *_SCALARS,
    {"type": "array", "items": {"$ref": "Sample", "nullable": True}},
    {"type": "object", "additionalProperties": True},
]
"""One of every plain form, so that everything that a module can import is imported."""


@cache
def taken(resources_module: str) -> Taken:
    """Return what is taken; ``resources_module`` is the source of a module of resources without any resource."""
    modules = [resources_module, *_samples()]
    bound = {name for source in modules for name in _bound(ast.parse(source))} - {"Sample", "SampleParams"}
    types = Types()
    spelled = {word for schema in _SAMPLE for word in re.findall(r"\w+", types.returned(schema))}
    members = {name for path, classes in _BASES.items() for name in _members(ROOT / "timeweb_sdk" / path, classes)}
    return Taken(
        classes=frozenset({*bound, *dir(builtins), *keyword.kwlist}),
        arguments=frozenset({"self", *bound, *(spelled & {*dir(builtins)})}),
        attributes=frozenset(name for name in members if not name.startswith("_")),
    )


def _samples() -> Iterator[str]:
    properties = {f"field{i}": schema for i, schema in enumerate(_SAMPLE)}
    classes = {
        "Sample": ModelClass("Sample", "", {"type": "object", "properties": properties, "required": ["field0"]}, "Text.")
    }
    yield from generate_models(classes, {"Sample": "sample"}, "").values()
    yield from generate_params(classes, {"Sample": "sample"}, {"Sample"}, "").values()


def _bound(module: ast.Module) -> Iterator[str]:
    """Yield every name that a module imports or defines."""
    for node in ast.walk(module):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef):
            yield node.name


def _members(module: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield every method and attribute of the classes ``names`` and of those in the same module that they are derived from."""
    found = {node.name: node for node in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}
    waiting = list(names)
    while waiting:
        definition = found[waiting.pop()]
        for base in definition.bases:
            named = base.value if isinstance(base, ast.Subscript) else base
            waiting += [named.id] if isinstance(named, ast.Name) and named.id in found else []
        yield from (node.name for node in definition.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
        for node in ast.walk(definition):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                yield node.attr
