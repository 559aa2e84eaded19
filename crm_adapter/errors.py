"""Errors that reach the caller: wrong configuration and misuse.  All else is data in a result."""

from __future__ import annotations

from timeweb_sdk.errors import ConfigurationError


class MappingError(ConfigurationError):
    """The host's mapped class and the :class:`~crm_adapter.db.columns.FieldMap` do not fit; ``problems`` lists everything."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))

    def __reduce__(self) -> tuple[type[MappingError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class NotConfigured(ConfigurationError):
    """No Timeweb token: set ``TIMEWEB_API_TOKEN`` (or ``TIMEWEB_API_TOKENS``)."""
