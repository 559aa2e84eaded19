"""Many records of one kind, held for as long as a run takes.

Python's collector of garbage goes again and again through every object of a class that it knows of, and stops all threads
meanwhile, the event loop's too: at five objects for each of 100,000 servers for a quarter of a second. Tuples of texts and
numbers it forgets at its first look. What is let go at once stops them as well, so records can be forgotten one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import fields
from itertools import filterfalse
from operator import attrgetter
from typing import Any, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Packed(MutableMapping[K, T]):
    """Records by key, in the order in which they came; each is a plain tuple until it is looked at."""

    def __init__(self, pack: Callable[[T], tuple[Any, ...]], unpack: Callable[[tuple[Any, ...]], T]) -> None:
        self._pack, self._unpack = pack, unpack
        self._held: dict[K, tuple[Any, ...]] = {}

    def lacks(self, keys: Iterable[K]) -> Iterator[K]:
        """Those of the keys that no record has; quick, for it may be asked of many on an event loop."""
        return filterfalse(self._held.__contains__, keys)

    def clear(self) -> None:
        """Let all records go, one by one, so that other threads have their turn in between."""
        while self._held:
            self._held.popitem()

    def __getitem__(self, key: K) -> T:
        return self._unpack(self._held[key])

    def __setitem__(self, key: K, record: T) -> None:
        self._held[key] = self._pack(record)

    def __delitem__(self, key: K) -> None:
        del self._held[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: object) -> bool:
        return key in self._held  # without unpacking it

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} records)"


def by_fields(kind: type[T]) -> Packed[Any, T]:
    """No record yet, of a dataclass whose fields are texts, numbers, moments and tuples of these."""
    names = tuple(item.name for item in fields(kind))  # type: ignore[arg-type]
    return Packed(attrgetter(*names), lambda values: kind(*values))
