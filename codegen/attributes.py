"""Where an operation is found on the client: the path decides, the last word is the verb.

``GET /api/v1/servers/{server_id}/disks`` is ``servers.disks.list``. The version is not part of the name; where two versions
of one endpoint are both new, the newest takes the plain name and the older one gets ``_v1``. These are proposals: a name that
is public already stays where it is (see :mod:`codegen.names`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from codegen.names import snake

_VERSIONED = re.compile(r"^/?(?:api/)?v(\d+)/(.*)$")


@dataclass(frozen=True)
class Endpoint:
    """What naming needs to know of an operation."""

    method: str
    path: str
    listing: bool
    deprecated: bool


def split(path: str) -> tuple[int, list[str]]:
    """``/api/v2/vpcs/{vpc_id}`` -> ``(2, ['vpcs', '{vpc_id}'])``."""
    match = _VERSIONED.match(path)
    version, rest = (int(match[1]), match[2]) if match else (1, path)
    return version, [segment for segment in rest.strip("/").split("/") if segment and segment != "api"]


def _anonymous(segments: Iterable[str]) -> str:
    return "/".join("{}" if segment.startswith("{") else segment for segment in segments)


def attributes(endpoints: list[Endpoint]) -> dict[Endpoint, str]:
    """Propose an attribute for each endpoint; all proposals differ."""
    methods: dict[str, set[str]] = defaultdict(set)
    for endpoint in endpoints:
        methods[_anonymous(split(endpoint.path)[1])].add(endpoint.method)
    words = [_words(endpoint) for endpoint in endpoints]
    nodes = {tuple(found[:depth]) for found in words for depth in range(1, len(found))}
    proposals: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        proposals[_attribute(endpoint, methods, nodes)].append(endpoint)
    result: dict[Endpoint, str] = {}
    for attribute, same in proposals.items():
        same.sort(key=lambda endpoint: (not endpoint.deprecated, split(endpoint.path)[0]), reverse=True)
        for place, endpoint in enumerate(same):
            result[endpoint] = attribute if place == 0 else _told_apart(attribute, endpoint, same[0], set(result.values()))
    return result


def _words(endpoint: Endpoint) -> list[str]:
    return [snake(segment) for segment in split(endpoint.path)[1] if not segment.startswith("{")]


def _attribute(endpoint: Endpoint, methods: dict[str, set[str]], nodes: set[tuple[str, ...]]) -> str:
    _, segments = split(endpoint.path)
    literals = _words(endpoint)
    by_id = bool(segments) and segments[-1].startswith("{")
    collection = _anonymous(segments)
    if endpoint.method == "get":
        verb = "list" if endpoint.listing else "get"
    elif endpoint.method in {"put", "patch"}:
        verb = "update"
    elif endpoint.method == "delete":
        verb = "delete"
    elif by_id or len(literals) < 2 or methods[collection] - {"post"} or {f"{collection}/{{}}"} & methods.keys():
        verb = "create"
    elif tuple(literals) not in nodes:  # nothing else lives at this path: its last word is the action's own name
        verb = literals.pop()
    else:  # something lives below the action, and a method cannot have attributes
        verb = "create"
    return ".".join([*literals, verb])


def _told_apart(attribute: str, endpoint: Endpoint, newest: Endpoint, taken: set[str]) -> str:
    version, segments = split(endpoint.path)
    if version != split(newest.path)[0]:
        candidate = f"{attribute}_v{version}"
    else:
        parameters = [segment.strip("{}") for segment in segments if segment.startswith("{")]
        candidate = f"{attribute}_by_{snake(parameters[-1])}" if parameters else f"{attribute}_all"
    while candidate in taken:
        candidate += "_other"
    return candidate
