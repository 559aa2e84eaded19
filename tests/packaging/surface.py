"""The public surface as text: every public name with its parameters, one per line.

`nox -s surface -- --write` rewrites the committed file; its diff is what a reviewer of a release reads.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

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
    "crm_adapter.wiring",
    "crm_adapter.migrations",
    "crm_adapter.migrations.helpers",
    "crm_adapter.notify",
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
