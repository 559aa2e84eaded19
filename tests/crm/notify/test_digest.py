"""What people read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from crm_adapter.notify.digest import digest, line
from crm_adapter.results import OutboxEvent


def event(kind: str, number: int = 1, **payload: Any) -> OutboxEvent:
    return OutboxEvent(
        number, kind, f"{kind}:{number}", "main", number, 1, datetime(2026, 11, 23), {"name": f"web-{number}", **payload}
    )


@pytest.mark.parametrize(
    ("count", "title"),
    [(1, "1 событие"), (2, "2 события"), (5, "5 событий"), (11, "11 событий"), (21, "21 событие"), (112, "112 событий")],
)
def test_plurals(count: int, title: str) -> None:
    assert digest([event("removed", n) for n in range(count)])[0] == f"Хостинг: {title}"


def test_twenty_lines_then_a_count() -> None:
    assert len(digest([event("removed", n) for n in range(20)])[1].splitlines()) == 20
    lines = digest([event("removed", n) for n in range(57)])[1].splitlines()
    assert len(lines) == 21
    assert lines[-1] == "и ещё 37"


@pytest.mark.parametrize("name", ["ж" * 255, "🚀" * 255, "a" * 255])
def test_telegram_counts_utf_16_units(name: str) -> None:
    title, text = digest([event("config_changed", n, name=name, old="1 CPU", new="2 CPU") for n in range(40)])
    assert len(f"{title}\n\n{text}".encode("utf-16-le")) // 2 <= 4096
    lines = text.splitlines()
    assert lines[-1] == f"и ещё {40 - (len(lines) - 1)}"


@pytest.mark.parametrize(("last", "lines"), [(162, 14), (163, 13)])
def test_a_message_of_4096_units_goes_whole(last: int, lines: int) -> None:
    """The title has 19, the line below it and the ends of lines 15, thirteen lines 3,900."""
    title, text = digest([event("later", n, name="x" * (last if n == 13 else 300)) for n in range(14)])
    assert [line[0] for line in text.splitlines()].count("x") == lines
    assert (len(f"{title}\n\n{text}") == 4096) is (lines == 14)


@pytest.mark.parametrize(("length", "shown"), [(300, "x" * 300), (301, "x" * 299 + "…")])
def test_a_line_has_300_characters(length: int, shown: str) -> None:
    assert line(event("later", name="x" * length)) == shown
    assert line(event("later", name="")) == "later"


def test_what_is_broken_comes_first() -> None:
    events = [event("imported", n) for n in range(30)] + [
        event("payment_overdue", 31),
        event("status_problem", 32, status="no_paid"),
    ]
    lines = digest(events)[1].splitlines()
    assert lines[0] == "⚠ web-32: не оплачен"
    assert "просрочена" in lines[1]


def test_a_name_cannot_forge_a_line() -> None:
    assert line(event("removed", name="a\nвсё хорошо\x1b[31m\u202e")) == "⚠ a всё хорошо [31m : сервер удалён в Timeweb"


@pytest.mark.parametrize(
    ("kind", "payload", "text"),
    [
        ("balance_low", {"account": "main", "balance": 1234.5, "hours_left": 71},
         "⚠ Баланс 1 234,50 ₽ (main), хватит на 71 час"),
        ("margin_negative", {"margin": -120.5}, "⚠ web-1: убыток 120,50 ₽ в месяц"),
        ("cost_changed", {"old": 500, "new": None}, "web-1: себестоимость 500,00 ₽ → —"),
        ("payment_due", {"client": "Иван", "amount": 10, "days": 7, "date": "30.11.2026"},
         "web-1 (Иван): оплата 10,00 ₽ через 7 дней, 30.11.2026"),
        ("payment_due", {"client": "Иван", "amount": 10, "days": 1}, "web-1 (Иван): оплата 10,00 ₽ завтра"),
        ("payment_overdue", {"client": "Иван", "amount": 10, "date": "01.11.2026"},
         "⚠ web-1 (Иван): оплата 10,00 ₽ просрочена с 01.11.2026"),
        ("sync_failed", {"account": "main", "code": "unauthorized"},
         "⚠ Синхронизация не удалась (main): Токен недействителен или истёк"),
        ("a_kind_of_a_later_version", {}, "web-1"),
    ],
)  # fmt: skip
def test_lines(kind: str, payload: dict[str, Any], text: str) -> None:
    assert line(event(kind, **payload)) == text
