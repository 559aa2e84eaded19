"""What is wrong with a value, by pydantic's code of the error, in Russian."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_PROBLEMS: Final = {
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
    "bool_type": "ожидается true или false",
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


def problem(kind: str, context: Mapping[str, Any]) -> str | None:
    """What is wrong, with the limits of `context`; None for a code that has no words here."""
    text = _PROBLEMS.get(kind)
    return text and text.format_map({name: str(value).replace(" or ", " или ") for name, value in context.items()})


def explain(errors: Iterable[Mapping[str, Any]]) -> str:
    """Pydantic's errors, each with the name of its field."""
    found: list[str] = []
    for error in errors:
        steps = [str(step) for step in error["loc"] if step not in {"body", "query", "path"}]
        found.append(": ".join([*steps[:1], problem(str(error["type"]), error.get("ctx", {})) or str(error["msg"])]))
    # A key of the body may hold a lone surrogate, which no reply can.
    return "; ".join(dict.fromkeys(found)).encode("utf-8", "replace").decode("utf-8")
