"""The public surface as text: every public name with its parameters, one per line.

`nox -s surface -- --write` rewrites the committed file; its diff is what a reviewer of a release reads.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel
from typing_extensions import is_typeddict

from timeweb_sdk import Timeweb
from timeweb_sdk.operations import OPERATIONS

COMMITTED = Path(__file__).with_name("public_surface.txt")
MODULES = (
    "timeweb_sdk",
    "timeweb_sdk.errors",
    "timeweb_sdk.limits",
    "timeweb_sdk.models",
    "timeweb_sdk.params",
    "timeweb_sdk.operations",
    "timeweb_sdk.secrets",
    "timeweb_sdk.testing",
    "timeweb_sdk.testing.vcr",
    "crm_adapter",
    "crm_adapter.aio",
    "crm_adapter.errors",
    "crm_adapter.ledger",
    "crm_adapter.wiring",
    "crm_adapter.migrations",
    "crm_adapter.migrations.helpers",
    "crm_adapter.notify",
    "crm_adapter.results",
    "crm_adapter.settings",
    "crm_adapter.tasks",
    "crm_adapter.telemetry",
    "crm_adapter.jobs.jobs",
    "crm_adapter.jobs.scheduler",
    "crm_adapter.web",
)
OURS = ("timeweb_sdk", "crm_adapter")


def surface() -> list[str]:
    """Return all lines, in a stable order that does not depend on the version of Python."""
    lines = [f"operation {operation.attribute}{parameters(method(operation.attribute))}" for operation in OPERATIONS.values()]
    modules = {name: importlib.import_module(name) for name in MODULES}
    public = {id(value): value for module in modules.values() for _, value in public_items(module)}
    described: set[int] = set()
    for path, module in modules.items():
        for name, value in public_items(module):
            # A name that is exported twice is described where it comes first.
            lines += [f"{path}.{name}"] if id(value) in described else object_lines(f"{path}.{name}", value, public)
            described.add(id(value))
    return sorted(lines)


def hidden_types() -> list[str]:
    """Types of ours that stand in a public signature, or in a field of such a type, and in no public module."""
    modules = {name: importlib.import_module(name) for name in MODULES}
    public = {id(value) for module in modules.values() for _, value in public_items(module)}
    waiting = [(path, value) for path, module in modules.items() for path, value in named_items(path, module)]
    found: set[str] = set()
    seen: set[int] = set()
    while waiting:
        path, value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        for name, used in types_of(value):
            if isinstance(used, TypeVar | ModuleType):
                continue
            if id(used) not in public:
                found.add(f"{path}: {name}")
            waiting.append((f"{path}: {name}", used))
    return sorted(found)


def named_items(path: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in public_items(module):
        yield f"{path}.{name}", value


def types_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each type of ours that the annotations of a function or a class name."""
    if inspect.isclass(value):
        members = (inspect.getattr_static(value, name) for name in vars(value) if not name.startswith("_"))
        functions = [getattr(member, "__func__", getattr(member, "fget", member)) for member in members]
        texts = [*vars(value).get("__annotations__", {}).values()]
        texts += [
            text for each in (vars(value).get("__init__"), *functions) if inspect.isfunction(each) for text in annotated(each)
        ]
    elif inspect.isfunction(value):
        texts = annotated(value)
    else:
        return
    names = names_in(sys.modules[value.__module__])
    for word in sorted({word for text in texts if isinstance(text, str) for word in re.findall(r"\b[A-Za-z]\w*", text)}):
        if word in names:
            yield word, names[word]


def annotated(function: Any) -> list[str]:
    return [text for name, text in function.__annotations__.items() if not name.startswith("_")]


@cache
def names_in(module: ModuleType) -> dict[str, Any]:
    """What annotations of a module may name of ours: also what it imports for type checkers alone, and aliases."""
    classes = {name: value for name, value in vars(module).items() if inspect.isclass(value)}
    names = {name: value for name, value in classes.items() if value.__module__.startswith(OURS)}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith(OURS):
            home = importlib.import_module(node.module)
            names |= {each.asname or each.name: getattr(home, each.name) for each in node.names if hasattr(home, each.name)}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            # Such as `Runner = Callable[...]`: it has a name and no module.
            aliases = [each.id for each in node.targets if isinstance(each, ast.Name)]
            names |= {name: getattr(module, name) for name in aliases if hasattr(module, name)}
    return names


def method(attribute: str) -> Any:
    """Find the function of `servers.disks.backups.list` by the types of the properties on the way."""
    *nodes, name = attribute.split(".")
    owner: Any = Timeweb("token-of-the-surface")
    for node in nodes:
        owner = getattr(owner, node)
    return getattr(owner, name)


def public_items(module: ModuleType) -> list[tuple[str, Any]]:
    """What `__all__` names; without it, what the module itself defines."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return [(name, getattr(module, name)) for name in sorted(names) if not name.startswith("_") or name == "__version__"]


def object_lines(path: str, value: Any, public: Mapping[int, Any]) -> Iterator[str]:
    if is_typeddict(value):
        yield f"{path}: {' '.join(sorted(value.__annotations__))}"
    elif inspect.isclass(value) and issubclass(value, BaseModel):
        yield f"{path}: {' '.join(value.model_fields)}"
    elif inspect.isclass(value):
        yield f"{path}{'' if issubclass(value, Enum) else parameters(value)}"
        yield from (f"{path}.{line}" for line in member_lines(value, public))
    elif callable(value) and get_origin(value) is None:
        yield f"{path}{parameters(value)}"
    elif isinstance(value, Mapping):
        yield f"{path}: mapping"
    else:
        yield path


def member_lines(cls: type, public: Mapping[int, Any]) -> Iterator[str]:
    """Public members of a class; those of a public base stand there, those of the standard library are not ours to pin."""
    homes = [base for base in cls.__mro__ if base.__module__.startswith(OURS) and (base is cls or id(base) not in public)]
    for name in sorted({name for home in homes for name in vars(home) if not name.startswith("_")}):
        value = inspect.getattr_static(cls, name)
        value = getattr(value, "__func__", value)
        yield f"{name}{parameters(value)}" if inspect.isfunction(value) else name


def parameters(value: Any) -> str:
    """Names, kinds and simple defaults; annotations are left to the type checkers, their text varies by Python."""
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError):
        return "(...)"
    shown = [each.replace(annotation=inspect.Parameter.empty, default=default(each)) for each in signature.parameters.values()]
    return str(signature.replace(parameters=shown, return_annotation=inspect.Signature.empty))


def default(parameter: inspect.Parameter) -> Any:
    value = parameter.default
    if value is inspect.Parameter.empty or value is None or isinstance(value, (bool, int, float, str)):
        return value
    return Elided()


class Elided:
    def __repr__(self) -> str:
        return "..."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"rewrite {COMMITTED.name}")
    text = "\n".join(surface()) + "\n"
    if parser.parse_args().write:
        COMMITTED.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
