"""What SQLAlchemy knows of the host's class: kinds of mappings that work, and those that are refused by name at start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Enum, Integer, Table, UniqueConstraint, and_, inspect as sa_inspect, select
from sqlalchemy.exc import ArgumentError, NoInspectionAvailable
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.sql.util import ColumnAdapter

from crm_adapter.db.columns import COLUMN_FIELDS, INTEGRATION, Columns, FieldMap, in_zone
from crm_adapter.errors import MappingError

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

_OPTIONAL: Final = frozenset(
    {
        "project_id",
        "client_id",
        "client_company",
        "client_telegram_id",
        "service_fee",
        "balance",
        "balance_last_updated",
        "notes",
        "created_at",
        "updated_at",
    }
)
"""What a host may do without: `None` in its `FieldMap`."""
_WORDS: Final = {"status": {"active", "suspended"}, "payment_period": {"monthly"}}
"""Words that sync writes itself."""
_AMOUNT: Final = ((float, Decimal, int), "a number (Float or Numeric)")
_DAY: Final = ((date, datetime), "a date (Date or DateTime)")
_INSTANT: Final = ((datetime,), "a DateTime")
_NUMBER: Final = ((int,), "a whole number")
_TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "timeweb_id": _NUMBER,
    "timeweb_preset_id": _NUMBER,
    "cost_price": _AMOUNT,
    "client_price": _AMOUNT,
    "service_fee": _AMOUNT,
    "balance": _AMOUNT,
    "start_date": _DAY,
    "next_payment_date": _DAY,
    "last_sync_at": _INSTANT,
    "created_at": _INSTANT,
    "updated_at": _INSTANT,
    "auto_sync": ((bool, int), "a Boolean"),
}
"""What the values of a column are in Python; texts may be anything that takes a str."""


def validate_mapping(model: type[Any], fields: FieldMap | None = None) -> Columns:
    """Check that every attribute of `fields` is a column of `model` that the adapter can read and write; return them.

    Raises `MappingError` that names every mismatch at once.
    """
    found: Columns = read_mapper(model, in_zone(fields, None))  # type: ignore[arg-type]
    return found


@lru_cache(maxsize=32)
def read_mapper(model: type[Any], fields: FieldMap) -> Columns:
    """The columns of `model`. Raises `MappingError` that names everything that does not fit."""
    try:
        mapper: Mapper[Any] = sa_inspect(model)
    except NoInspectionAvailable:
        raise MappingError((f"{model!r} is not a class mapped by SQLAlchemy",)) from None
    name = model.__name__
    if not isinstance(mapper.local_table, Table):
        raise MappingError((f"{name} is mapped to {mapper.local_table!r}, not to one table",))
    table = cast("Table", mapper.local_table)
    if mapper.inherits is not None and not mapper.concrete and mapper.inherits.local_table is not table:
        raise MappingError((_spread(name, str(mapper.inherits.local_table), table.name),))
    problems: list[str] = []
    by_name: dict[str, Column[Any]] = {}
    for field in COLUMN_FIELDS:
        attribute: str | None = getattr(fields, field)
        if attribute is None:
            if field not in _OPTIONAL:
                problems.append(f"FieldMap.{field} may not be None: the adapter needs this column")
            continue
        found = _column(mapper, table, field, attribute)
        if isinstance(found, str):
            problems.append(f"{name}.{attribute} ({field}) {found}" if found else _absent(name, field, attribute))
        else:
            by_name[field] = found
    given = _Given(mapper, problems)
    version = given.version()
    scope = [*given.kind(), *_where(model, table, fields, problems)]
    problems += (f"{name}: {problem}" for problem in _unusable(by_name))
    problems += (f"{name}: {problem}" for problem in _key(table, fields, by_name))
    problems += (f"{name}: {problem}" for problem in _unfilled(table, {*by_name.values(), *given.columns}))
    try:
        zone = ZoneInfo(str(fields.zone)).key
    except (OSError, ValueError, KeyError):
        zone = ""
        problems.append(f"FieldMap.zone: {fields.zone!r} is not an IANA time zone such as Europe/Moscow")
    if problems:
        raise MappingError(tuple(problems))
    return Columns(table, by_name, zone, tuple(scope), tuple(given.values), fields.on_change, version)


def _spread(name: str, parent: str, child: str) -> str:
    return (
        f"{name} is spread over two tables ({parent}, {child}; joined-table inheritance), and the adapter writes one; "
        "pass a class of its own on the table that has the columns"
    )


def _absent(name: str, field: str, attribute: str) -> str:
    remedy = "run `timeweb-crm migrate`" if field in INTEGRATION else f"set FieldMap({field}=...)"
    return f"{name} has no mapped column {attribute!r} for {field}; {remedy}"


def _column(mapper: Mapper[Any], table: Table, field: str, attribute: str) -> Column[Any] | str:
    """The column of an attribute, or why it is none that can be written; empty where there is no such attribute."""
    while (synonym := mapper.synonyms.get(attribute)) is not None:
        attribute = synonym.name
    prop = mapper.column_attrs.get(attribute)
    if prop is None:
        if isinstance(mapper.all_orm_descriptors.get(attribute), hybrid_property):
            return "is a hybrid property, which only reads; name the column beneath it"
        if attribute in mapper.composites or attribute in mapper.relationships:
            return "is made of other columns; name the column itself"
        return ""
    column = prop.columns[0]
    if not isinstance(column, Column):
        return "is an expression (column_property), which only reads; name the column beneath it"
    if column.table is not table:
        return f"is a column of {column.table}, not of {table.name}"
    if column.computed is not None or (column.identity is not None and column.identity.always and field != "id"):
        return "is computed by the database, and the adapter writes it; name a plain column"
    return column


class _Given:
    """What the host's mapper puts into a new row by itself, and a plain INSERT must put there too."""

    def __init__(self, mapper: Mapper[Any], problems: list[str]) -> None:
        self.mapper, self.problems = mapper, problems
        self.name = mapper.class_.__name__
        self.columns: list[Column[Any]] = []
        self.values: list[tuple[str, Callable[[], Any]]] = []

    def _put(self, column: Column[Any], give: Callable[[], Any]) -> None:
        self.columns.append(column)
        self.values.append((column.key, give))

    def kind(self) -> Iterator[Any]:
        """Single-table inheritance: a new row says of which class it is, and rows of other classes are not there."""
        mapper, column = self.mapper, self.mapper.polymorphic_on
        if column is None:
            return
        if not isinstance(column, Column) or column.table is not mapper.local_table:
            self.problems.append(
                f"{self.name}: polymorphic_on is an expression, which a new row cannot be given; let it be a column"
            )
            return
        identity = mapper.polymorphic_identity
        if identity is None:
            self.problems.append(
                f"{self.name} has no polymorphic_identity, so a new row would be of no class; pass the class of servers"
            )
            return
        self._put(column, lambda: identity)
        if mapper.single:
            yield column.in_([each.polymorphic_identity for each in mapper.self_and_descendants])

    def version(self) -> Column[Any] | None:
        """Optimistic locking: a new row starts the counter, an edit by a person moves it on."""
        column: Any = self.mapper.version_id_col
        generator: Any = self.mapper.version_id_generator
        if column is None or generator is False:
            return None
        if not (isinstance(column.type, Integer) and generator(1) == 2):
            self.problems.append(
                f"{self.name}: version_id_generator is one of the host; let it count, or let the database fill "
                f"{column.name} (version_id_generator=False)"
            )
            return None
        self._put(column, lambda: generator(None))
        return column  # type: ignore[no-any-return]


def _where(model: type[Any], table: Table, fields: FieldMap, problems: list[str]) -> Iterator[Any]:
    """The host's condition as plain SQL on the table."""
    if fields.where is None:
        return
    condition = fields.where(model)
    if isinstance(condition, bool):
        problems.append(
            f"FieldMap.where gave {condition!r}, not a condition; write {model.__name__}.deleted_at.is_(None), not `is None`"
        )
        return
    try:
        # Columns instead of attributes: with those, every statement would become one of the ORM.
        plain: Any = ColumnAdapter(table).traverse(and_(condition))
        froms = select(*table.primary_key.columns).where(plain).get_final_froms()
    except ArgumentError:
        problems.append(f"FieldMap.where gave {condition!r}, not a condition on {table.name}")
        return
    if list(froms) != [table]:
        others = ", ".join(sorted(str(each) for each in froms if each is not table))
        problems.append(f"FieldMap.where needs rows of {others} too; use EXISTS or IN, or a column of {table.name}")
        return
    yield plain


def _unusable(by_name: dict[str, Column[Any]]) -> Iterator[str]:
    """Columns that would take what sync writes for something else."""
    for name, words in _WORDS.items():
        kind = by_name[name].type if name in by_name else None
        if isinstance(kind, Enum) and (missing := words.difference(kind.enums)):
            yield (
                f"the Enum of {name} does not store {', '.join(sorted(missing))}; let it store these words, "
                "for a Python enum by values_callable=lambda kind: [item.value for item in kind]"
            )
    if "cost_price" in by_name and isinstance(by_name["cost_price"].type, Integer):
        yield "cost_price is an integer and would lose kopecks; make it Numeric(12, 2)"
    for name, (accepted, said) in _TYPES.items():
        if name not in by_name:
            continue
        kind = by_name[name].type
        try:
            python_type = kind.python_type
        except NotImplementedError:
            continue
        if not issubclass(python_type, accepted):
            yield f"{name} is {kind}, and the adapter keeps {said} there"


def _key(table: Table, fields: FieldMap, by_name: dict[str, Column[Any]]) -> Iterator[str]:
    """The adapter's tables name a row by one whole number."""
    column = by_name.get("id")
    if column is None:
        return
    remedy = "give the table a unique integer column that the database fills and name it: FieldMap(id=...)"
    keys = list(table.primary_key.columns)
    if not isinstance(column.type, Integer):
        yield f"{fields.id} is {column.type}, and the adapter knows rows by whole numbers; {remedy}"
    elif keys != [column]:
        if not (column.unique or any(list(each.columns) == [column] for each in _unique(table))):
            named = ", ".join(key.name for key in keys)
            yield f"{fields.id} alone is no key (that is {named}), and the adapter knows rows by one number; {remedy}"
        elif column.nullable or not _is_filled(column):
            yield f"{fields.id} must be NOT NULL and filled by the database (Identity, a default or a sequence)"


def _unique(table: Table) -> Iterator[Any]:
    yield from (constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint))
    yield from (index for index in table.indexes if index.unique)


def _is_filled(column: Column[Any]) -> bool:
    return column.default is not None or column.server_default is not None or column.identity is not None


def _unfilled(table: Table, known: set[Column[Any]]) -> Iterator[str]:
    """Columns of which an INSERT would not know what to put there."""
    for column in table.columns:
        numbered = column.primary_key and isinstance(column.type, Integer)
        if not (column.nullable or column in known or numbered or _is_filled(column)):
            yield (
                f"column {column.name!r} is NOT NULL without a default and not in the FieldMap; "
                "an import could not fill it: give it a default"
            )
