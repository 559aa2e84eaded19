"""Linking a server of Timeweb to a row typed by hand instead of doubling it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crm_adapter.db.rows import StoredRow
from crm_adapter.results import HostingValues, LinkPolicy
from crm_adapter.sync.mapping import normalise_ip


@dataclass(frozen=True, slots=True)
class Links:
    """Timeweb id -> what was found for it."""

    linked: Mapping[int, StoredRow] = field(default_factory=dict[int, StoredRow])
    suggested: Mapping[int, StoredRow] = field(default_factory=dict[int, StoredRow])
    """Same address under the policy `suggest`: held back until a human decides."""
    conflicts: Mapping[int, tuple[StoredRow, ...]] = field(default_factory=dict[int, tuple[StoredRow, ...]])
    """Several rows for one server, or several servers for one row."""
    alike: Mapping[int, StoredRow] = field(default_factory=dict[int, StoredRow])
    """Same name only: told, never acted upon."""
    unlinked: frozenset[int] = frozenset()
    """Servers that a human took off a row; only an explicit import brings them back."""


def is_linkable(row: StoredRow) -> bool:
    """Whether a row without a server may be given one: not when it is closed, nor when a human took a server off it."""
    return row.timeweb_id is None and row.status != "closed" and (row.state is None or row.state.unlinked_from is None)


def match(servers: Iterable[HostingValues], unlinked: Iterable[StoredRow], policy: LinkPolicy) -> Links:
    """Match servers without a row against rows without a server.

    Only a public IPv4 that is unique on both sides links. Closed rows are history: their address may be another's now.
    """
    servers, rows = list(servers), list(unlinked)
    taken_off = frozenset(row.state.unlinked_from for row in rows if row.state and row.state.unlinked_from is not None)
    if policy == "off":
        return Links(unlinked=taken_off)
    by_ip: dict[str, list[StoredRow]] = defaultdict(list)
    by_name: dict[str, list[StoredRow]] = defaultdict(list)
    for row in rows:
        if not is_linkable(row):
            continue
        if ip := normalise_ip(row.ip_address):
            by_ip[ip].append(row)
        by_name[_name_key(row.server_name)].append(row)
    claims: dict[int, set[int]] = defaultdict(set)
    found: dict[int, dict[int, StoredRow]] = {}
    for server in servers:
        matches = {row.id: row for ip in server.public_ipv4 for row in by_ip.get(ip, ())}
        if matches:
            found[server.timeweb_id] = matches
            for row_id in matches:
                claims[row_id].add(server.timeweb_id)
    linked: dict[int, StoredRow] = {}
    conflicts: dict[int, tuple[StoredRow, ...]] = {}
    for timeweb_id, matches in found.items():
        if len(matches) == 1 and all(len(claims[row_id]) == 1 for row_id in matches):
            linked[timeweb_id] = next(iter(matches.values()))
        else:
            conflicts[timeweb_id] = tuple(matches.values())
    named = {server.timeweb_id: by_name[_name_key(server.server_name)] for server in servers if _name_key(server.server_name)}
    alike = {timeweb_id: rows[0] for timeweb_id, rows in named.items() if timeweb_id not in found and len(rows) == 1}
    if policy == "suggest":
        return Links(suggested=linked, conflicts=conflicts, alike=alike, unlinked=taken_off)
    return Links(linked=linked, conflicts=conflicts, alike=alike, unlinked=taken_off)


def _name_key(name: str | None) -> str:
    return (name or "").strip().casefold()
