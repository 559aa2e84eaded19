"""Names: from the vendor's spelling to the field's English terms, kept stable by ``openapi/names.lock``.

The lock maps a JSON pointer of the contract to a Python name: a class for a schema, a dotted attribute for an operation, an
argument for a parameter. What stands in the lock wins; what is new gets a proposed name and is added. So a rename is a line in
a reviewed diff, and editing the lock by hand is how a name is chosen. A new version of an operation does not take the name
of the old one, and an operation whose placeholder is spelled anew keeps its own.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from codegen.documents import read_lock, write_lock
from codegen.errors import CodegenError
from codegen.tree import parts_of, pointer

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_ACRONYMS = {"K8s": "Kubernetes", "Dto": "", "Api": ""}
_ACRONYM_PLURAL = re.compile(r"\b([A-Z]{2,})s(?![a-z])")
_SUFFIXES = re.compile(r"(?:InApi|OutApi|OutResponse|InAPI|OutAPI)$")
_UNCOUNTABLE = ("status", "statuses", "dns", "os", "address", "series", "news", "ss", "access", "https")


def words(text: str) -> list[str]:
    """Split any spelling into lower-case ASCII words: ``K8S-Versions`` -> ``['k8s', 'versions']``."""
    text = _ACRONYM_PLURAL.sub(lambda match: match[1].capitalize() + "s", text)
    found = [word.lower() for part in re.split(r"[^A-Za-z0-9]+", text) for word in _WORD.findall(part)]
    joined: list[str] = []
    for word in found:  # digits belong to the word before them, and a lone letter to the digits before it: k8s, ipv4, s3
        if joined and (word.isdigit() or (len(word) == 1 and joined[-1][-1].isdigit())):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def pascal(text: str) -> str:
    """``servers-preset`` -> ``ServersPreset``."""
    return "".join(word[:1].upper() + word[1:] for word in words(text))


def snake(text: str) -> str:
    """``availability-zone`` -> ``availability_zone``; a Python keyword gets a trailing underscore."""
    name = "_".join(words(text)) or "value"
    if name[0].isdigit():
        name = f"n{name}"
    return name + "_" if keyword.iskeyword(name) else name


def singular(text: str) -> str:
    """``Disks`` -> ``Disk``; words that only look like a plural stay."""
    lower = text.lower()
    if lower.endswith(_UNCOUNTABLE) or not lower.endswith("s"):
        return text
    if lower.endswith("ies"):
        return text[:-3] + "y"
    if lower.endswith(("ches", "shes", "xes", "sses")):
        return text[:-2]
    return text[:-1]


@dataclass(frozen=True)
class Taken:
    """Names that nothing of the contract may have; found by :mod:`codegen.namespace`."""

    classes: frozenset[str] = frozenset()
    arguments: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()


@dataclass
class Names:
    """The lock and the names given in this build."""

    locked: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    taken: Taken = field(default_factory=Taken)

    @classmethod
    def read(cls, path: Path, taken: Taken | None = None) -> Names:
        """Read the lock; a missing file is an empty lock."""
        return cls(read_lock(path), taken=taken or Taken())

    def write(self, path: Path) -> None:
        """Write the names in use, sorted by pointer: a pointer that left the contract leaves the lock too."""
        write_lock(path, self.given)

    @property
    def new(self) -> dict[str, str]:
        """The names that are in no lock yet: a person may think of better ones."""
        return {place: name for place, name in self.given.items() if self.locked.get(place) != name}

    def class_name(self, place: str, hint: str) -> str:
        """Name the class at ``place``; a name that is taken is told apart by the place it comes from."""
        given = {name for where, name in self.given.items() if not where.startswith("/paths/") or "/schema" in where}
        name = self.locked.get(place)
        if name is None:
            reserved = given | set(self.locked.values()) | self.taken.classes
            options = _class_options(place, hint)
            name = next((option for option in options if not _family(option) & reserved), None)
        elif name in self.taken.classes:
            raise CodegenError(f"{place}: the generated modules have a {name!r} already; choose another in openapi/names.lock")
        if name is None or not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
            raise CodegenError(f"{place}: no free class name for {hint!r}; give it one in openapi/names.lock")
        if _family(name) & given:
            raise CodegenError(f"{place}: the class name {name!r} is used twice in openapi/names.lock")
        self.given[place] = name
        return name

    def attributes(self, proposals: dict[str, str]) -> dict[str, str]:
        """Name the operations (place -> attribute): a public name stays where it is, and what is new goes beside it."""
        chosen = {place: self.locked[place] for place in proposals if place in self.locked}
        for place, proposal in proposals.items():
            if place not in chosen:
                chosen[place] = self._free_attribute(place, proposal, {*chosen.values()})
        self.given.update(chosen)
        return chosen

    def _free_attribute(self, place: str, proposal: str, public: set[str]) -> str:
        name = ".".join(word + "_" if word in self.taken.attributes else word for word in proposal.split("."))
        version = re.search(r"~1v(\d+)~1", place)
        if name in public and version:
            name += f"_v{version[1]}"
        while name in public:
            name += "_other"
        return name

    def argument(self, place: str, wire: str) -> str:
        """Name a parameter; only a name that differs from the wire's is worth a line in the lock."""
        name = self.locked.get(place)
        if name is None:
            name = snake(wire)
            if not words(wire):
                raise CodegenError(f"{place}: {wire!r} has no letter to make a name of; give it one in openapi/names.lock")
            if name in self.taken.arguments:
                name += "_"
        elif name in self.taken.arguments or not name.isidentifier() or keyword.iskeyword(name):
            raise CodegenError(f"{place}: {name!r} cannot be the name of an argument; choose another in openapi/names.lock")
        if name != wire:
            self.given[place] = name
        return name

    def follow_moves(self, paths: Iterable[str]) -> None:
        """Let an operation keep its names if its path differs only in what the placeholders are called."""
        locked = [(parts_of(place), name) for place, name in self.locked.items()]
        moves = moved((parts[1] for parts, _ in locked if parts[0] == "paths"), paths)
        for parts, name in locked:
            if parts[0] != "paths" or parts[1] not in moves:
                continue
            new_path = moves[parts[1]]
            renamed = dict(zip(*(re.findall(r"{([^}]+)}", path) for path in (parts[1], new_path)), strict=True))
            placed = parts[3:5] == ["parameters", "path"]
            rest = [*parts[2:-1], renamed.get(parts[-1], parts[-1])] if placed else parts[2:]
            self.locked.setdefault(pointer("paths", new_path, *rest), name)
            if len(parts) == 3:
                for old, new in renamed.items():
                    if old != new:
                        self.locked.setdefault(pointer("paths", new_path, parts[2], "parameters", "path", new), snake(old))


def _family(name: str) -> set[str]:
    """A class and its TypedDict, which stand side by side in the modules that use both."""
    return {name, f"{name}Params", name.removesuffix("Params")}


def moved(before: Iterable[str], after: Iterable[str]) -> dict[str, str]:
    """Return old path -> new path for those that differ only in what the placeholders are called."""
    now = {re.sub(r"{[^}]*}", "{}", path): path for path in after}
    spelled = {path: now.get(re.sub(r"{[^}]*}", "{}", path), path) for path in before}
    return {old: new for old, new in spelled.items() if old != new and old not in now.values()}


def _class_options(place: str, hint: str) -> list[str]:
    """Names to try for a class, the shortest first: cleaned, as spelled, with the operation's words before it."""
    cleaned = _SUFFIXES.sub("", hint)
    for acronym, word in _ACRONYMS.items():
        cleaned = cleaned.replace(acronym, word)
    cleaned = re.sub(r"V?\d+$", "", cleaned)  # a version says nothing to a reader, and numbers renumber
    parts = [part for part in place.split("/") if part and part not in {"components", "schemas", "properties"}]
    context = pascal(parts[0].replace("~1", "-")) if parts else ""
    options = (cleaned, hint, context + cleaned, *(cleaned + word for word in ("Details", "Item", "Record", "Entry", "Other")))
    return [option for option in options if option and not option[-1].isdigit()]
