"""The page of benchmarks: its graph is of its numbers, its words are those that the next measurement writes again."""

from __future__ import annotations

import re

from tests.benchmarks.__main__ import GRAPH, INTRODUCTION, LIMITS, PAGE
from tests.benchmarks._graph import draw, read

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_graph_is_drawn_from_the_table() -> None:
    assert GRAPH.read_text(encoding="utf-8") == draw(TEXT)


def test_bars_are_as_long_as_the_numbers_say() -> None:
    page = re.sub(r"(\| one call, sync \| )[\d,]+ us", r"\g<1>91,352 us", TEXT)
    assert [bar.value for bar in read(page)["one call, sync"]][:1] == [91352]
    assert draw(page) != draw(TEXT)


def test_words_of_the_page_are_those_of_the_command() -> None:
    assert TEXT.startswith(INTRODUCTION)
    assert TEXT.endswith(LIMITS)
