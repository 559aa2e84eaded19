"""Names: from the vendor's spelling to the field's English terms, kept stable by ``openapi/names.lock``.

The lock maps a JSON pointer of the contract to a Python name: a class for a schema, a dotted attribute for an operation, an
argument for a parameter. What stands in the lock wins; what is new gets a proposed name and is added. So a rename is a line in
a reviewed diff, and editing the lock by hand is how a name is chosen.
"""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from codegen.documents import read_lock
from codegen.errors import CodegenError

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


@dataclass
class Names:
    """The lock and the names given in this build."""

    locked: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Names:
        """Read the lock; a missing file is an empty lock."""
        return cls(read_lock(path))

    def write(self, path: Path) -> None:
        """Write the names in use, sorted by pointer: a pointer that left the contract leaves the lock too."""
        path.write_text(json.dumps(dict(sorted(self.given.items())), indent=1) + "\n", encoding="utf-8")

    def class_name(self, place: str, hint: str) -> str:
        """Name the class at ``place``; a name that is taken is told apart by the place it comes from."""
        taken = {name for where, name in self.given.items() if not where.startswith("/paths/") or "/schema" in where}
        name = self.locked.get(place)
        if name is None:
            reserved = taken | set(self.locked.values())
            name = next((option for option in _class_options(place, hint) if option not in reserved), None)
        if name is None or not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
            raise CodegenError(f"{place}: no free class name for {hint!r}; give it one in openapi/names.lock")
        if name in taken:
            raise CodegenError(f"{place}: the class name {name!r} is used twice in openapi/names.lock")
        self.given[place] = name
        return name

    def attributes(self, proposals: dict[str, str]) -> dict[str, str]:
        """Name the operations (place -> attribute). Where a new version takes a locked name, the proposal tells both apart."""
        chosen = {place: self.locked.get(place, proposal) for place, proposal in proposals.items()}
        for name, count in Counter(chosen.values()).items():
            if count > 1:
                chosen.update({place: proposals[place] for place, taken in chosen.items() if taken == name})
        self.given.update(chosen)
        return chosen

    def argument(self, place: str, wire: str) -> str:
        """Name a parameter; only a name that differs from the wire's is worth a line in the lock."""
        name = self.locked.get(place, snake(wire))
        if name != wire:
            self.given[place] = name
        return name


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
