"""What the endpoints accept.  Whether a value fits its column is checked once, in :mod:`crm_adapter.servers.validation`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: RUB: a number, or text as people write it (``1 234,50``).
Money = Decimal | str
#: A calendar date: ``2026-12-31`` or ``31.12.2026``.
Day = str


class ImportBody(BaseModel):
    """Servers to import; ``links`` ties some of them to rows: Timeweb id -> CRM id."""

    server_ids: Annotated[list[int], Field(max_length=10_000)]
    links: dict[int, int] = Field(default_factory=dict)


class ServerEdit(BaseModel):
    """Columns to change; absent ones stay.  ``edit_version`` is the one that the human saw."""

    model_config = ConfigDict(extra="forbid")

    project_id: int | None = None
    client_id: int | None = None
    client_name: str | None = None
    client_company: str | None = None
    client_telegram_id: int | None = None
    server_name: str | None = None
    configuration: str | None = None
    ip_address: str | None = None
    cost_price: Money | None = None
    client_price: Money | None = None
    service_fee: Money | None = None
    balance: Money | None = None
    start_date: Day | None = None
    next_payment_date: Day | None = None
    payment_period: Literal["monthly", "quarterly", "yearly"] | None = None
    status: Literal["active", "overdue", "suspended", "closed"] | None = None
    notes: str | None = None
    auto_sync: bool | None = None
    edit_version: int | None = None

    def values(self) -> dict[str, Any]:
        """Only what was sent."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "edit_version"}


class NewServer(ServerEdit):
    """A server that is not at Timeweb."""

    server_name: str | None = ""

    def values(self) -> dict[str, Any]:
        """What was sent; the name is checked even when it was not."""
        return {"server_name": self.server_name, **super().values()}


_PROBLEMS = {
    "missing": "заполните поле",
    "int_parsing": "ожидается целое число",
    "int_type": "ожидается целое число",
    "int_from_float": "ожидается целое число",
    "string_type": "ожидается текст",
    "string_unicode": "текст содержит недопустимые символы",
    "less_than_equal": "не больше {le}",
    "greater_than_equal": "не меньше {ge}",
    "literal_error": "допустимо: {expected}",
    "extra_forbidden": "такого поля нет, или его нельзя изменить",
    "bool_parsing": "ожидается true или false",
    "list_type": "ожидается список",
    "too_long": "не больше {max_length} элементов",
    "json_invalid": "некорректный JSON",
    "model_attributes_type": "ожидается объект",
    "model_type": "ожидается объект",
    "dict_type": "ожидается объект",
    "finite_number": "сумма записана неверно",
    "decimal_parsing": "сумма записана неверно",
    "decimal_type": "сумма записана неверно",
}


def explain(errors: Iterable[Mapping[str, Any]]) -> str:
    """Pydantic's errors in Russian, each with the name of its field."""
    found: list[str] = []
    for error in errors:
        steps = [str(step) for step in error["loc"] if step not in {"body", "query", "path"}]
        context = {key: str(value).replace(" or ", " или ") for key, value in error.get("ctx", {}).items()}
        text = _PROBLEMS.get(str(error["type"]))
        found.append(": ".join([*steps[:1], text.format_map(context) if text else str(error["msg"])]))
    # A key of the body may hold a lone surrogate, which no reply can.
    return "; ".join(dict.fromkeys(found)).encode("utf-8", "replace").decode("utf-8")
