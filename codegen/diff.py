"""``python -m codegen diff OLD NEW``: what changed between two contracts, for callers and for readers.

A caller writes arguments and bodies; a reader uses what comes back. A change is breaking for callers if a call that was right
is now wrong, for readers if an answer may now lack what it had or hold something else. New values of an enum break nobody: the
generated enums are open.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from codegen.distil import distil
from codegen.documents import NAMES_LOCK, read_json
from codegen.facts import LOWER, UPPER, Facts, Field, Fields, Operation, components, read
from codegen.public_names import PublicNames
from codegen.report import FORMATS, Change, breaking


def main(args: list[str]) -> int:
    """Print the changelog; 1 if ``--fail-on breaking`` was asked for and something breaks."""
    parser = argparse.ArgumentParser(prog="python -m codegen diff", description="Say what changed between two contracts.")
    parser.add_argument("old", type=Path, help="an OpenAPI bundle, the vendor's or a distilled one")
    parser.add_argument("new", type=Path)
    parser.add_argument("--fail-on", choices=["breaking"], help="exit with 1 if a change breaks callers or readers")
    parser.add_argument("--format", choices=sorted(FORMATS), default="text")
    parser.add_argument("--names", type=Path, default=NAMES_LOCK, help="the names.lock of NEW (default: openapi/names.lock)")
    parser.add_argument("--old-names", type=Path, help="the names.lock of OLD, if names have changed too")
    options = parser.parse_args(args)
    changes = compare_files(options.old, options.new, options.names, options.old_names or options.names)
    print(FORMATS[options.format](changes))
    return 1 if options.fail_on and any(breaking(change) for change in changes) else 0


def compare_files(old: Path, new: Path, names: Path = NAMES_LOCK, old_names: Path = NAMES_LOCK) -> list[Change]:
    """Compare two bundles on disk."""
    return compare(_facts(old), _facts(new), PublicNames.read(old_names), PublicNames.read(names))


def _facts(path: Path) -> Facts:
    return read(distil(read_json(path)))


def compare(old: Facts, new: Facts, old_names: PublicNames, new_names: PublicNames) -> list[Change]:
    """Return every change: operations first, then what they take and give, then the models."""
    return list(_Comparison(old, new, old_names, new_names).changes())


@dataclass(frozen=True)
class _Travel:
    """Which way a group of fields travels, and so for whom a change of it can break."""

    sent: bool
    received: bool


@dataclass
class _Comparison:
    old: Facts
    new: Facts
    old_names: PublicNames
    new_names: PublicNames

    def changes(self) -> Iterator[Change]:
        moved = self._moved()
        renamed = self._renamed_models(moved)
        yield from self._operations(moved)
        for old_key, operation in self.old.operations.items():
            after = self.new.operations.get(moved.get(old_key, old_key))
            if after is not None:
                yield from self._operation(operation, after, renamed)
        yield from self._models(renamed)
        yield from self._python_names()

    # -- operations -------------------------------------------------------------------------------------------------------

    def _moved(self) -> dict[str, str]:
        """Operations that live elsewhere now: the same public name, else the same operation id."""
        gone = [operation for key, operation in self.old.operations.items() if key not in self.new.operations]
        come = [operation for key, operation in self.new.operations.items() if key not in self.old.operations]
        by_name = {name: operation.key for operation in come if (name := self.new_names.attribute(operation.key))}
        by_id = {operation.id: operation.key for operation in come}
        moved: dict[str, str] = {}
        for operation in gone:
            after = by_name.get(self.old_names.attribute(operation.key)) or by_id.get(operation.id)
            if after is not None and after not in moved.values():
                moved[operation.key] = after
        return moved

    def _operations(self, moved: dict[str, str]) -> Iterator[Change]:
        for key in self.old.operations:
            if key in moved:
                before, after = self.old_names.attribute(key), self.new_names.attribute(moved[key])
                yield Change("operations", key, "renamed", f"now {moved[key]}", before != after, names=_some(before, after))
            elif key not in self.new.operations:
                yield Change("operations", key, "removed", "", callers=True, names=_some(self.old_names.attribute(key)))
        for key in self.new.operations:
            if key not in self.old.operations and key not in moved.values():
                yield Change("operations", key, "added", "", names=_some(self.new_names.attribute(key)))

    def _operation(self, old: Operation, new: Operation, renamed: dict[str, str]) -> Iterator[Change]:
        name = _some(self.new_names.attribute(new.key) or self.old_names.attribute(old.key))
        if old.id != new.id:
            yield Change("operations", new.key, "changed", f"operation id {old.id} -> {new.id}", names=name)
        if new.deprecated and not old.deprecated:
            yield Change("operations", new.key, "deprecated", "", names=name)
        if old.body_type != new.body_type:
            what = f"body {old.body_type or 'none'} -> {new.body_type or 'none'}"
            yield Change("operations", new.key, "changed", what, callers=True, names=name)
        if old.answer_type != new.answer_type:
            what = f"answer {old.answer_type or 'none'} -> {new.answer_type or 'none'}"
            yield Change("operations", new.key, "changed", what, readers=bool(old.answer_type), names=name)
        sent, received = _Travel(sent=True, received=False), _Travel(sent=False, received=True)
        yield from self._fields("parameters", new.key, old.parameters, new.parameters, sent, renamed)
        if old.body_type and new.body_type and old.body_component != new.body_component:
            before = old.body or self.old.models.get(old.body_component, {})
            after = new.body or self.new.models.get(new.body_component, {})
            if renamed.get(old.body_component) != new.body_component:
                yield from self._fields("bodies", new.key, before, after, sent, renamed)
        elif old.body_type and new.body_type:
            yield from self._fields("bodies", new.key, old.body, new.body, sent, renamed)
        if old.answer_type and new.answer_type:
            yield from self._fields("answers", new.key, old.answer, new.answer, received, renamed)

    # -- models -----------------------------------------------------------------------------------------------------------

    def _renamed_models(self, moved: dict[str, str]) -> dict[str, str]:
        """Components that are called otherwise now: the same public name, else the same place in a body or an answer."""
        gone = {name for name in self.old.models if name not in self.new.models}
        come = {name for name in self.new.models if name not in self.old.models}
        by_name = {public: name for name in sorted(come) if (public := self.new_names.model(name))}
        renamed = {name: by_name[public] for name in sorted(gone) if (public := self.old_names.model(name)) in by_name}
        for key, old in self.old.operations.items():
            new = self.new.operations.get(moved.get(key, key))
            if new is None:
                continue
            places = [(old.body_component, new.body_component)]
            for before, after in ((old.body, new.body), (old.answer, new.answer)):
                both = before.keys() & after.keys()
                pairs = [(components(before[path].type), components(after[path].type)) for path in sorted(both)]
                places += [(one[0], other[0]) for one, other in pairs if len(one) == len(other) == 1]
            for before_name, after_name in places:
                if before_name in gone - renamed.keys() and after_name in come - set(renamed.values()):
                    renamed[before_name] = after_name
        return renamed

    def _models(self, renamed: dict[str, str]) -> Iterator[Change]:
        used_before, used_now = self.old.sent | self.old.received, self.new.sent | self.new.received
        for name, fields in self.old.models.items():
            if name not in used_before:
                continue
            before, after = self.old_names.model(name), renamed.get(name, name)
            if after not in used_now:
                yield Change("models", name, "removed", "", readers=name in self.old.received, names=_some(before))
                continue
            if after != name:
                public = self.new_names.model(after)
                changed = bool(before and before != public)
                yield Change("models", name, "renamed", f"now {after}", changed, changed, _some(before, public))
            travel = _Travel(
                sent=name in self.old.sent and after in self.new.sent,
                received=name in self.old.received and after in self.new.received,
            )
            yield from self._fields("fields", after, fields, self.new.models[after], travel, renamed)
        for name in self.new.models:
            if name in used_now and name not in used_before and name not in renamed.values():
                yield Change("models", name, "added", "", names=_some(self.new_names.model(name)))

    def _python_names(self) -> Iterator[Change]:
        for place, name in self.old_names.lock.items():
            after = self.new_names.lock.get(place, name)
            if after != name:
                yield Change("names", name, "renamed", f"now {after}", callers=True, readers=True, names=(name, after))

    # -- fields -----------------------------------------------------------------------------------------------------------

    def _fields(
        self, area: str, place: str, old: Fields, new: Fields, travel: _Travel, renamed: dict[str, str]
    ) -> Iterator[Change]:
        old, new = _aligned(old, new, self.old.models, self.new.models)
        for path in _topmost(path for path in old if path not in new):
            names = self.old_names.field(path, old[path], self.old.bodies)
            # a sent field that is gone is refused by the API: unknown keys are a 400
            yield Change(area, place, "removed", _label(path), travel.sent, travel.received, names)
        for path in _topmost(path for path in new if path not in old):
            names = self.new_names.field(path, new[path], self.new.bodies)
            what = f"{_label(path)}: {_described(new[path])}"
            yield Change(area, place, "added", what, callers=travel.sent and new[path].required, names=names)
        for path in old:
            if path in new:
                names = self.new_names.field(path, new[path], self.new.bodies)
                if not path:
                    names = self._users(place)
                for what, callers, readers in _changed(old[path], self._known(old[path], new[path], renamed)):
                    text = f"{_label(path)}: {what}"
                    yield Change(area, place, "changed", text, callers and travel.sent, readers and travel.received, names)

    def _known(self, old: Field, new: Field, renamed: dict[str, str]) -> Field:
        """Call the component of ``new`` as ``old`` does if it is the same one: renamed, or another with the same fields."""
        before, after = components(old.type), components(new.type)
        if len(before) == len(after) == 1 and before != after:
            mine, other = self.old.models.get(before[0], {}), self.new.models.get(after[0], {})
            if renamed.get(before[0]) == after[0] or _shape(mine) == _shape(other):
                return replace(new, type=new.type.replace(f"#{after[0]}", f"#{before[0]}"))
        return new

    def _users(self, component: str) -> tuple[str, ...]:
        """Public names of everything that has the type of ``component``, an enum or another alias."""
        found: list[str] = []
        fields = list(self.new.models.values())
        for operation in self.new.operations.values():
            fields += [operation.parameters, operation.body, operation.answer]
        for group in fields:
            for path, one in group.items():
                if component in components(one.type):
                    found += self.new_names.field(path, one, self.new.bodies)
        return _some(*sorted(found))


def _shape(fields: Fields) -> dict[str, Field]:
    return {path: replace(one, owner="") for path, one in fields.items()}


def _changed(old: Field, new: Field) -> Iterator[tuple[str, bool, bool]]:
    """Yield what differs between two fields, with whether it breaks callers and readers."""
    if old.type != new.type:
        yield f"{old.type} -> {new.type}", not _accepts(new.type, old.type), not _accepts(old.type, new.type)
    if old.required != new.required:
        yield ("now required", True, False) if new.required else ("no longer required", False, True)
    if old.nullable != new.nullable:
        yield ("may be null", False, True) if new.nullable else ("no longer null", True, False)
    added = [value for value in new.enum if value not in old.enum]
    gone = [value for value in old.enum if value not in new.enum]
    if added and old.enum:
        yield f"new values {', '.join(added)}", False, False
    if gone and new.enum:
        yield f"values gone {', '.join(gone)}", True, False
    if bool(old.enum) != bool(new.enum):
        yield ("only " + ", ".join(new.enum), True, False) if new.enum else ("any value", False, False)
    before, after = dict(old.bounds), dict(new.bounds)
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            text = f"{key} {before.get(key, 'none')} -> {after.get(key, 'none')}"
            yield text, not _looser(key, before.get(key), after.get(key)), False


def _looser(key: str, old: float | str | None, new: float | str | None) -> bool:
    """Tell whether the new bound lets everything through that the old one did."""
    if new is None:
        return True
    if isinstance(old, str) or isinstance(new, str) or old is None:
        return False
    return (key in LOWER and new <= old) or (key in UPPER and new >= old)


def _family(type_: str) -> str:
    """The JSON type without its format, where the format does not change what is read."""
    base, _, form = type_.partition(":")
    return type_ if form in {"binary", "date-time"} else base


def _accepts(wide: str, narrow: str) -> bool:
    """Tell whether every value of ``narrow`` is one of ``wide``."""
    families = {_family(type_) for type_ in wide.removeprefix("one of ").split(", ")}
    found = {_family(type_) for type_ in narrow.removeprefix("one of ").split(", ")}
    if "number" in families:
        families.add("integer")
    return "any" in families or found <= families


def _aligned(old: Fields, new: Fields, old_models: dict[str, Fields], new_models: dict[str, Fields]) -> tuple[Fields, Fields]:
    """Open a component where the other side has the same object inline: hoisting a schema is no change of the API."""
    old, new = dict(old), dict(new)
    waiting = list(old)
    while waiting:
        path = waiting.pop()
        if path in old and path in new:
            for mine, other, models in ((old, new, old_models), (new, old, new_models)):
                found = components(mine[path].type)
                if found and other[path].type == mine[path].type.replace(f"#{found[0]}", "object") and found[0] in models:
                    mine[path] = replace(mine[path], type=other[path].type)
                    inner = path + ("[]" if mine[path].type.startswith("[") else "")
                    opened = {f"{inner}.{name}" if inner else name: one for name, one in models[found[0]].items() if name}
                    mine |= opened
                    waiting += opened
    return old, new


def _topmost(paths: Iterable[str]) -> list[str]:
    """Drop what lies below another of the paths: with an object goes all that is in it."""
    found = list(paths)
    tops = tuple(top + mark for top in found if top for mark in ".[{<")
    return [path for path in found if not path.startswith(tops)]


def _label(path: str) -> str:
    return path or "value"


def _described(field: Field) -> str:
    parts = [field.type, "required" if field.required else "optional"]
    if field.nullable:
        parts.append("nullable")
    return ", ".join(parts) + (f" ({', '.join(field.enum)})" if field.enum else "")


def _some(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
