"""Waiting for objects of the API to reach a status."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Waits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""


class AsyncWaits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""
