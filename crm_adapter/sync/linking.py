"""Linking a server of Timeweb to a row typed by hand instead of doubling it.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crm_adapter.results import HostingValues, LinkPolicy
from crm_adapter.sync.mapping import normalise_ip
from crm_adapter.sync.snapshot import Row


@dataclass(frozen=True, slots=True)
class Links:
    """Timeweb id -> what was found for it."""

    linked: Mapping[int, Row] = field(default_factory=dict[int, Row])
    suggested: Mapping[int, Row] = field(default_factory=dict[int, Row])
    """Same address under the policy ``suggest``: held back until a human decides."""
    conflicts: Mapping[int, tuple[Row, ...]] = field(default_factory=dict[int, tuple[Row, ...]])
    """Several rows for one server, or several servers for one row."""
    alike: Mapping[int, Row] = field(default_factory=dict[int, Row])
    """Same name only: told, never acted upon."""
    unlinked: frozenset[int] = frozenset()
    """Servers that a human took off a row; only an explicit import brings them back."""


def match(servers: Iterable[HostingValues], unlinked: Iterable[Row], policy: LinkPolicy) -> Links:
    """Match servers without a row against rows without a server.

    Only a public IPv4 that is unique on both sides links.  Closed rows are history: their address may be another's now.
    """
    servers, rows = list(servers), list(unlinked)
    taken_off = frozenset(row.state.unlinked_from for row in rows if row.state and row.state.unlinked_from is not None)
    if policy == "off":
        return Links(unlinked=taken_off)
    by_ip: dict[str, list[Row]] = defaultdict(list)
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.status == "closed" or (row.state and row.state.unlinked_from is not None):
            continue
        if ip := normalise_ip(row.ip_address):
            by_ip[ip].append(row)
        if row.server_name:
            by_name[row.server_name.strip().lower()].append(row)
    claims: dict[int, set[int]] = defaultdict(set)
    found: dict[int, dict[int, Row]] = {}
    for server in servers:
        matches = {row.crm_id: row for ip in server.public_ipv4 for row in by_ip.get(ip, ())}
        if matches:
            found[server.timeweb_id] = matches
            for crm_id in matches:
                claims[crm_id].add(server.timeweb_id)
    linked: dict[int, Row] = {}
    conflicts: dict[int, tuple[Row, ...]] = {}
    for timeweb_id, matches in found.items():
        if len(matches) == 1 and all(len(claims[crm_id]) == 1 for crm_id in matches):
            linked[timeweb_id] = next(iter(matches.values()))
        else:
            conflicts[timeweb_id] = tuple(matches.values())
    alike = {
        server.timeweb_id: by_name[key][0]
        for server in servers
        if server.timeweb_id not in found and server.server_name and (key := server.server_name.lower()) in by_name
    }
    if policy == "suggest":
        return Links(suggested=linked, conflicts=conflicts, alike=alike, unlinked=taken_off)
    return Links(linked=linked, conflicts=conflicts, alike=alike, unlinked=taken_off)
