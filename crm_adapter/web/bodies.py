"""What the endpoints accept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from crm_adapter.web.formats import parse_day, parse_money

__all__ = ["EDITABLE", "ImportBody", "NewServer", "ServerEdit", "explain"]


_PROBLEMS = {
    "missing": "заполните поле",
    "string_too_short": "заполните поле",
    "string_too_long": "слишком длинно, не больше {max_length} знаков",
    "int_parsing": "ожидается целое число",
    "int_type": "ожидается целое число",
    "int_from_float": "ожидается целое число",
    "greater_than_equal": "не меньше {ge}",
    "less_than_equal": "не больше {le}",
    "literal_error": "допустимо: {expected}",
    "extra_forbidden": "такого поля нет, или его нельзя изменить",
    "bool_parsing": "ожидается true или false",
    "decimal_type": "ожидается сумма",
    "decimal_parsing": "ожидается сумма",
    "finite_number": "ожидается сумма",
    "datetime_type": "ожидается дата",
    "list_type": "ожидается список",
    "too_long": "не больше {max_length} элементов",
    "json_invalid": "некорректный JSON",
}


def explain(errors: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Pydantic's errors in Russian: name of the field -> what is wrong with it."""
    found: dict[str, str] = {}
    for error in errors:
        where = ".".join(str(step) for step in error["loc"] if step not in {"body", "query", "path"})
        context = {key: str(value).replace(" or ", " или ") for key, value in error.get("ctx", {}).items()}
        text = _PROBLEMS.get(str(error["type"]))
        message = text.format_map(context) if text else str(error["msg"]).removeprefix("Value error, ")
        found.setdefault(where, message)
    return found


def _money(value: object) -> object:
    if isinstance(value, str):
        return parse_money(value)
    if isinstance(value, float):
        return Decimal(str(value))
    return value


def _day(value: object) -> object:
    """A calendar date: what stands behind it in an ISO instant is dropped, never shifted to another zone."""
    return parse_day(value.partition("T")[0]) if isinstance(value, str) else value


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Money = Annotated[Decimal, BeforeValidator(_money), Field(ge=0, le=Decimal("9999999999.99"))]
Day = Annotated[datetime, BeforeValidator(_day)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Optional255 = Annotated[str | None, BeforeValidator(_blank_is_none), Field(max_length=255)]
Integer = Annotated[int | None, BeforeValidator(_blank_is_none), Field(ge=1, le=2**31 - 1)]


class ImportBody(BaseModel):
    """Servers to import; ``links`` ties some of them to rows: Timeweb id -> CRM id."""

    server_ids: Annotated[list[int], Field(max_length=10_000)]
    links: dict[int, int] = Field(default_factory=dict)


class ServerEdit(BaseModel):
    """Columns to change; absent ones stay.  ``edit_version`` is the one that the human saw."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    project_id: Integer = None
    client_id: Integer = None
    client_name: Name = ""
    client_company: Optional255 = None
    client_telegram_id: Annotated[int | None, BeforeValidator(_blank_is_none)] = None
    server_name: Name = ""
    cost_price: Annotated[Money | None, BeforeValidator(_blank_is_none)] = None
    client_price: Money = Decimal(0)
    service_fee: Money = Decimal(0)
    balance: Money = Decimal(0)
    start_date: Day | None = None
    next_payment_date: Day | None = None
    payment_period: Literal["monthly", "quarterly", "yearly"] = "monthly"
    status: Literal["active", "overdue", "suspended", "closed"] = "active"
    notes: Annotated[str | None, Field(max_length=10_000)] = None
    auto_sync: bool = True
    edit_version: int | None = None

    def values(self) -> dict[str, Any]:
        """Only what was sent."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "edit_version"}


class NewServer(ServerEdit):
    """A server that is not at Timeweb."""

    server_name: Name
    configuration: Annotated[str | None, Field(max_length=2000)] = None
    ip_address: Annotated[str | None, Field(max_length=50)] = None


#: Columns that people may change one by one on the page.
EDITABLE = tuple(name for name in ServerEdit.model_fields if name != "edit_version")
