"""Errors that reach the caller: wrong configuration and misuse. All else is data in a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from timeweb_sdk.errors import ConfigurationError


class MappingError(ConfigurationError):
    """The host's mapped class and the `crm_adapter.db.columns.FieldMap` do not fit; `problems` lists everything."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))

    def __reduce__(self) -> tuple[type[MappingError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class NotConfigured(ConfigurationError):
    """No Timeweb token: set `TIMEWEB_API_TOKEN` (or `TIMEWEB_API_TOKENS`)."""


class MigrationError(ConfigurationError):
    """The database is in a state that a migration must not touch; nothing was changed."""


class DuplicateTimewebIds(MigrationError):
    """Several rows claim one Timeweb server. `duplicates` maps the Timeweb id to the keys of those rows."""

    def __init__(self, table: str, duplicates: Mapping[int, Sequence[object]]) -> None:
        self.table = table
        self.duplicates = {timeweb_id: tuple(keys) for timeweb_id, keys in duplicates.items()}
        named = "; ".join(
            f"timeweb_id {timeweb_id} in rows {', '.join(str(key) for key in keys)}"
            for timeweb_id, keys in self.duplicates.items()
        )
        super().__init__(
            f"{table} has duplicates: {named}. Clear timeweb_id in all but one row of each and run the migration again; "
            "nothing was changed."
        )

    def __reduce__(self) -> tuple[type[DuplicateTimewebIds], tuple[str, dict[int, tuple[object, ...]]]]:
        return type(self), (self.table, self.duplicates)


class UnknownColumn(ValueError):
    """A value was given for a column that people do not edit: a typing error in the calling code. `names` are those."""

    def __init__(self, names: tuple[str, ...], editable: tuple[str, ...]) -> None:
        self.names, self.editable = names, editable
        super().__init__(f"no editable column {', '.join(map(repr, names))}; there are {', '.join(editable)}")

    def __reduce__(self) -> tuple[type[UnknownColumn], tuple[tuple[str, ...], tuple[str, ...]]]:
        return type(self), (self.names, self.editable)


class OperationFailed(Exception):
    """What `raise_for_failure()` of a result raises: `code` for programs, the text (Russian) for people, `result` whole."""

    def __init__(self, code: str, text: str, result: object) -> None:
        self.code, self.text, self.result = code, text, result
        super().__init__(f"{code}: {text}")

    def __reduce__(self) -> tuple[type[OperationFailed], tuple[str, str, object]]:
        return type(self), (self.code, self.text, self.result)
