"""`python -m codegen diff OLD NEW`: what a Python caller must do differently after an update of the contract.

Two surfaces are compared (see `codegen.surface`), not two contracts. A change breaks *callers* if a call that was right is now
wrong, and *readers* if a reply may now lack what it had or hold something else. New values of an enum break nobody: the
enums are open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from codegen import build as pipeline
from codegen.documents import BUNDLE, OPENAPI
from codegen.surface import Method, Surface, Value, Values, classes_in, renamed


@dataclass(frozen=True)
class Change:
    """One change: of what, which, and whom it breaks."""

    name: str
    """The method or the model: `servers.create`, `Server`."""
    what: str
    """A phrase of Markdown: ``argument `size` added``."""
    callers: bool = False
    readers: bool = False
    before: str = ""
    after: str = ""
    """Signatures of a method whose arguments or result have changed."""

    @property
    def breaking(self) -> bool:
        """Whether it breaks anybody."""
        return self.callers or self.readers


def surface(place: Path) -> Surface:
    """Compile a folder, or a bundle with the committed corrections and names; those that match nothing are passed over."""
    folder = place if place.is_dir() else OPENAPI
    compiled = pipeline.compile_contract(pipeline.read_bundle(place / BUNDLE.name if place.is_dir() else place), folder)
    compiled.problems.raise_any()
    return compiled.surface


def compare(old: Surface, new: Surface) -> list[Change]:
    """Return every change: methods, then models."""
    moved = _moved(old, new)
    names = _renamed_models(old, new, moved)
    back = {after: before for before, after in names.items()}
    return [*_methods(old, new, moved, back), *_models(old, new, names, back)]


# -- methods ------------------------------------------------------------------------------------------------------------


def _moved(old: Surface, new: Surface) -> dict[str, str]:
    """Methods of an endpoint that has another attribute now, and none of the old name is left."""
    attributes = {method.endpoint: name for name, method in new.methods.items()}
    gone = [method for name, method in old.methods.items() if name not in new.methods]
    return {method.attribute: attributes[method.endpoint] for method in gone if method.endpoint in attributes}


def _methods(old: Surface, new: Surface, moved: dict[str, str], back: dict[str, str]) -> Iterator[Change]:
    for name, before in old.methods.items():
        after = new.methods.get(moved.get(name, name))
        if after is None:
            yield Change(name, f"removed (`{before.endpoint}`)", callers=True)
            continue
        if name in moved:
            yield Change(name, f"renamed: `{moved[name]}`", callers=True)
        elif before.endpoint != after.endpoint:
            yield Change(name, f"calls `{after.endpoint}` instead of `{before.endpoint}`")
        if (before.source, after.source) == ("overlay", "vendor"):
            yield Change(after.attribute, "is now in the vendor's contract")
        if after.deprecated and not before.deprecated:
            yield Change(after.attribute, "deprecated")
        yield from _signed(before, after, back)
    for name, method in new.methods.items():
        if name not in old.methods and name not in moved.values():
            yield Change(name, f"added (`{method.endpoint}`)", after=method.signature)


def _signed(old: Method, new: Method, back: dict[str, str]) -> Iterator[Change]:
    """Changes of arguments and result, the first of them with both signatures."""
    found = [
        *_compared("argument", old.arguments, new.arguments, back, sent=True, received=False),
        *_value_changes("result", old.returns, renamed(new.returns, back), sent=False, received=True),
    ]
    shown = (old.signature, new.signature) if old.signature != new.signature else ("", "")
    for what, callers, readers in found:
        yield Change(new.attribute, what, callers, readers, *shown)
        shown = ("", "")


# -- models -------------------------------------------------------------------------------------------------------------


def _renamed_models(old: Surface, new: Surface, moved: dict[str, str]) -> dict[str, str]:
    """Models called otherwise now: they stand where the old one stood, in the same argument, result or field."""
    names: dict[str, str] = {}
    gone, come = old.models.keys() - new.models.keys(), new.models.keys() - old.models.keys()
    both = [(method, new.methods.get(moved.get(name, name))) for name, method in old.methods.items()]
    waiting = [
        pair
        for one, other in both
        if other is not None
        for pair in [(one.returns, other.returns), *_paired(one.arguments, other.arguments)]
    ]
    for name in sorted(old.models.keys() & new.models.keys()):
        waiting += _paired(old.models[name], new.models[name])
    while waiting:
        before, after = waiting.pop()
        left, right = classes_in(before) & gone - names.keys(), classes_in(after) & come - set(names.values())
        for one, other in product(sorted(left), sorted(right)):
            if one not in names and before.type == renamed(after, {other: one}).type:
                names[one] = other
                waiting += _paired(old.models[one], new.models[other])
    return names


def _paired(old: Values, new: Values) -> list[tuple[Value, Value]]:
    return [(old[name], new[name]) for name in sorted(old.keys() & new.keys())]


def _models(old: Surface, new: Surface, names: dict[str, str], back: dict[str, str]) -> Iterator[Change]:
    for name, fields in sorted(old.models.items()):
        after = names.get(name, name)
        if after not in new.models:
            yield Change(name, "removed", callers=name in old.sent, readers=name in old.received)
            continue
        if after != name:
            yield Change(name, f"renamed: `{after}`", callers=name in old.sent, readers=name in old.received)
        sent = name in old.sent and after in new.sent
        received = name in old.received and after in new.received
        for what, callers, readers in _compared("field", fields, new.models[after], back, sent=sent, received=received):
            yield Change(after, what, callers, readers)
    for name in sorted(new.models.keys() - old.models.keys() - set(names.values())):
        yield Change(name, "added")


# -- arguments, fields and results ----------------------------------------------------------------------------------------

_Found = tuple[str, bool, bool]
"""What has changed, and whether it breaks callers and readers."""


def _compared(kind: str, old: Values, new: Values, back: dict[str, str], *, sent: bool, received: bool) -> Iterator[_Found]:
    """Compare by the old names of classes, to which `back` leads from the new ones."""
    for name in old:
        if name in new:
            yield from _value_changes(f"{kind} `{name}`", old[name], renamed(new[name], back), sent=sent, received=received)
        else:
            # The API refuses what it does not know, and mypy what a method does not take.
            yield f"{kind} `{name}` removed", sent, received
    for name, value in new.items():
        if name not in old:
            how = "required" if value.required else "optional"
            yield f"{kind} `{name}` added: `{value}`, {how}", sent and value.required, False


def _value_changes(what: str, old: Value, new: Value, *, sent: bool, received: bool) -> Iterator[_Found]:
    if old.type != new.type:
        yield (
            f"{what}: `{old}` → `{new}`",
            sent and not _takes_all(new.type, old.type),
            received and not _takes_all(old.type, new.type),
        )
    if old.required != new.required:
        yield f"{what} {'now required' if new.required else 'may be absent'}", sent and new.required, received and old.required
    if old.default != new.default:
        before, after = (value.default or "unknown" for value in (old, new))
        yield f"{what}: left out it means `{after}`, before `{before}`", sent, False
    if added := new.values - old.values:
        yield f"{what}: new {_listed(added)}", False, False
    if gone := old.values - new.values:
        yield f"{what}: no longer {_listed(gone)}", sent and bool(new.values), False


def _takes_all(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    """Whether every value of `narrow` is one of `wide`; an int is a float to whoever reads or sends it."""
    return "Any" in wide or narrow <= wide | ({"int"} if "float" in wide else set[str]())


def _listed(values: frozenset[str]) -> str:
    return ", ".join(f"`{value}`" for value in sorted(values))


# -- the page -------------------------------------------------------------------------------------------------------------


def summary(changes: list[Change]) -> str:
    """`12 changes: 3 break callers, 1 breaks readers`."""
    if not changes:
        return "No changes for callers or readers."
    callers = sum(change.callers for change in changes)
    readers = sum(change.readers for change in changes)
    return f"{len(changes)} changes; breaking for callers: {callers}, for readers: {readers}."


def markdown(changes: list[Change]) -> str:
    """A changelog: what breaks first, then the rest, a bullet per change, signatures below the method they belong to."""
    lines = [summary(changes)]
    for title, breaking in (("Breaking", True), ("Compatible", False)):
        chosen = [change for change in changes if change.breaking is breaking]
        if chosen:
            lines += ["", f"## {title}", "", *(line for change in chosen for line in _bullet(change))]
    return "\n".join(lines)


def _bullet(change: Change) -> Iterator[str]:
    whom = [name for name, breaks in (("callers", change.callers), ("readers", change.readers)) if breaks]
    yield f"- `{change.name}`: {change.what}" + (f" **(breaks {' and '.join(whom)})**" if whom else "")
    if change.before and change.after:
        yield from ("", "  ```diff", f"  - {change.name}{change.before}", f"  + {change.name}{change.after}", "  ```", "")
