"""Which public Python name a piece of the contract has, by ``openapi/names.lock``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from codegen.documents import read_lock
from codegen.facts import Field
from codegen.names import snake
from codegen.tree import parts_of, pointer


@dataclass(frozen=True)
class PublicNames:
    """The lock, read: JSON pointer -> class, attribute or argument. Without a lock every name is empty."""

    lock: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> PublicNames:
        """Read a lock; a missing file is an empty one."""
        return cls(read_lock(path))

    def attribute(self, key: str) -> str:
        """``GET /api/v1/servers`` -> ``servers.list``."""
        method, _, path = key.partition(" ")
        return self.lock.get(pointer("paths", path, method.lower()), "")

    def model(self, component: str) -> str:
        """``vds`` -> ``Server``; empty for a component that is no class of its own."""
        return self.lock.get(pointer("components", "schemas", component), "")

    def field(self, path: str, found: Field, bodies: dict[str, list[str]]) -> tuple[str, ...]:
        """``networks[].ips[].type`` of ``vds`` -> ``ServerIp.type``; a field of a body is an argument of its methods.

        ``bodies`` tells which operations send a component as their body.
        """
        argument = snake(re.split(r"[.> ]", path)[-1].rstrip("[]{}")) if path else ""
        operation = re.fullmatch(r"(/paths/[^/]+/[^/]+)(/.*)?", found.owner)
        if found.owner in self.lock and not (operation and operation[2] is None):
            return (f"{self.lock[found.owner]}.{argument}" if argument else self.lock[found.owner],)
        if operation is not None:
            attributes = [self.lock.get(operation[1], "")]
        else:
            component = parts_of(found.owner)[2]
            attributes = [self.attribute(key) for key in bodies.get(component, [])]
        if "/responses/" in found.owner or not argument:
            return tuple(attribute for attribute in attributes if attribute)
        return tuple(f"{attribute}({argument}=)" for attribute in attributes if attribute)
