"""Routes of the host that would answer in place of ours: found when the application starts, not when somebody clicks."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from fastapi import routing
from starlette.routing import BaseRoute, compile_path

from timeweb_sdk.errors import ConfigurationError


def refuse_shadows(routes: Sequence[BaseRoute], ours: Collection[Any]) -> None:
    """Raise `ConfigurationError` that names the route which answers first where one of `ours` (endpoints) should."""
    every = _flat(routes)
    for route in every:
        if getattr(route, "endpoint", None) not in ours:
            continue
        for method in sorted(route.methods or ()):
            first = next(other for other in every if _answers(other, method, _sample(route.path)))
            if getattr(first, "endpoint", None) not in ours:
                raise ConfigurationError(
                    f"{method} {route.path} of the hosting section is answered by {_name(first)}, which stands before it: "
                    "call app.include_router(create_hosting_router(...)) first, or remove that route"
                )


def _flat(routes: Sequence[BaseRoute]) -> list[Any]:
    """Every route with its whole path; newer releases of FastAPI keep included routers as trees."""
    walk = getattr(routing, "iter_route_contexts", list)
    return list(walk(routes))


def _answers(route: Any, method: str, path: str) -> bool:
    pattern, endpoint = getattr(route, "path", None), getattr(route, "endpoint", None)
    if pattern is None:
        return False
    if endpoint is None:  # an application mounted under a path takes all below it
        return path.startswith(f"{pattern.rstrip('/')}/")
    return method in (getattr(route, "methods", None) or ()) and compile_path(pattern)[0].match(path) is not None


def _sample(path: str) -> str:
    """A path as a browser asks for it: every parameter takes a number."""
    return re.sub(r"{[^}]*}", "1", path)


def _name(route: Any) -> str:
    endpoint = getattr(route, "endpoint", None)
    return f"what is mounted at {route.path}" if endpoint is None else f"{endpoint.__module__}.{endpoint.__qualname__}"
