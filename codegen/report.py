"""A list of changes as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import groupby

_TITLES = {
    "operations": "Operations",
    "parameters": "Parameters",
    "bodies": "Bodies",
    "answers": "Answers",
    "models": "Models",
    "fields": "Fields of models",
    "names": "Python names",
}
_WHOLE = {"operations", "models", "names"}
"""Areas in which the place itself has changed, so that a line says it all."""
_SIGNS = {"added": "+", "removed": "-", "renamed": ">", "deprecated": "!", "changed": "~"}


@dataclass(frozen=True)
class Change:
    """One change: where, what, whom it breaks, and which public names it touches."""

    area: str
    place: str
    """``GET /api/v1/servers`` or the name of a component."""
    kind: str
    what: str
    callers: bool = False
    readers: bool = False
    names: tuple[str, ...] = ()


def breaking(change: Change) -> bool:
    """Tell whether the change breaks anybody."""
    return change.callers or change.readers


def summary(changes: list[Change]) -> str:
    """``12 changes: 3 breaking for callers, 1 for readers``."""
    callers = sum(change.callers for change in changes)
    readers = sum(change.readers for change in changes)
    if not changes:
        return "no changes"
    plural = "" if len(changes) == 1 else "s"
    if not callers and not readers:
        return f"{len(changes)} change{plural}, all compatible"
    return f"{len(changes)} change{plural}: {callers} breaking for callers, {readers} for readers"


def _mark(change: Change) -> str:
    whom = [name for name, breaks in (("callers", change.callers), ("readers", change.readers)) if breaks]
    return f"breaking for {' and '.join(whom)}" if whom else "compatible"


def _listed(names: Iterable[str], most: int = 6) -> str:
    found = list(names)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _grouped(changes: Iterable[Change]) -> Iterable[tuple[str, list[tuple[str, list[Change]]]]]:
    order = list(_TITLES)
    ordered = sorted(changes, key=lambda change: order.index(change.area))
    for area, inside in groupby(ordered, key=lambda change: change.area):
        by_place = sorted(inside, key=lambda change: change.place)
        yield area, [(place, list(group)) for place, group in groupby(by_place, key=lambda change: change.place)]


def text(changes: list[Change]) -> str:
    """One line per change, grouped by area and place."""
    lines = [summary(changes)]
    for area, places in _grouped(changes):
        lines += ["", _TITLES[area]]
        for place, group in places:
            single = area in _WHOLE
            if not single:
                lines.append(f"  {place}")
            for change in group:
                what = " ".join(part for part in (place if single else "", change.what) if part)
                names = f" [{_listed(change.names)}]" if change.names else ""
                lines.append(f"  {'' if single else '  '}{_SIGNS[change.kind]} {what}{names} -- {change.kind}, {_mark(change)}")
    return "\n".join(lines)


def markdown(changes: list[Change]) -> str:
    """A changelog: a heading per area, a bullet per change, the breaking ones in bold."""
    lines = [f"**{summary(changes)}**"]
    for area, places in _grouped(changes):
        lines += ["", f"## {_TITLES[area]}", ""]
        for place, group in places:
            for change in group:
                mark = f"**{_mark(change)}**" if breaking(change) else _mark(change)
                names = f" ({_listed(f'`{name}`' for name in change.names)})" if change.names else ""
                what = f": {change.what}" if change.what else ""
                lines.append(f"- {change.kind}: `{place}`{names}{what} ({mark})")
    return "\n".join(lines)


def as_json(changes: list[Change]) -> str:
    """Every change as an object, with the counts."""
    counts = {
        "changes": len(changes),
        "breaking_for_callers": sum(change.callers for change in changes),
        "breaking_for_readers": sum(change.readers for change in changes),
    }
    entries = [{**asdict(change), "names": list(change.names)} for change in changes]
    return json.dumps({"summary": counts, "changes": entries}, ensure_ascii=False, indent=1)


FORMATS: dict[str, Callable[[list[Change]], str]] = {"text": text, "markdown": markdown, "json": as_json}
