"""Where the bars of the chart stand."""

from __future__ import annotations

import itertools
from decimal import Decimal
from xml.etree import ElementTree

from crm_adapter.web.charts import NARROW, Month, lay_out
from crm_adapter.web.templating import Renderer

SVG = "{http://www.w3.org/2000/svg}"


def month(income: int | None, cost: int | None, margin: int | None) -> Month:
    return Month("янв. 26", *(None if amount is None else Decimal(amount) for amount in (income, cost, margin)))


def test_a_loss_hangs_below_the_zero_line_and_an_unknown_amount_has_no_bar() -> None:
    chart = lay_out([month(1000, 1500, -500), month(None, 100, None)])
    income, cost, loss, unpriced = chart.bars
    assert income.y + income.height == cost.y + cost.height == chart.zero == loss.y
    assert round(cost.height / income.height, 2) == 1.5 and round(income.height / loss.height, 2) == 2
    assert (unpriced.y + unpriced.height, unpriced.text) == (chart.zero, "янв. 26, себестоимость: 100,00\u00a0₽")


def test_a_chart_without_a_price_has_no_more_guides_than_another() -> None:
    """Amounts far from 0 that are all alike: what an installation shows on its first day."""
    for amount in (23_847, 50_000_000, -50_000_000):
        assert 4 <= len(lay_out([month(None, amount, None)]).guides) <= 11
        assert 4 <= len(lay_out([month(amount, amount, None)] * 12).guides) <= 11


def test_guides_are_round_and_cover_every_bar() -> None:
    for top in (7, 99, 1234, 98_765):
        chart = lay_out([month(top, 0, top)])
        assert 4 <= len(chart.guides) <= 11
        assert chart.guides[-1].at <= min(bar.y for bar in chart.bars)
        assert chart.guides[0].at == chart.zero
        amounts = [float(guide.text.replace("\u00a0", "").removesuffix(" ₽")) for guide in chart.guides]
        assert {after - before for before, after in itertools.pairwise(amounts)} == {amounts[1]}


def test_the_drawing_is_well_formed_and_says_each_amount() -> None:
    drawn = Renderer(None).fragment("dynamics.svg", {"chart": lay_out([month(1000, 400, 600)])})
    root = ElementTree.fromstring(drawn.encode())
    said = [title.text for title in root.iter(f"{SVG}title")]
    amounts = {"доход": "1\u00a0000", "себестоимость": "400", "результат": "600"}
    assert said[1:] == [f"янв. 26, {name}: {amount},00\u00a0₽" for name, amount in amounts.items()]
    empty = Renderer(None).fragment("dynamics.svg", {"chart": lay_out([])})
    assert "Данных пока нет" in empty


def test_on_a_phone_nothing_lies_outside_or_over_another() -> None:
    wide, narrow = (lay_out([month(1000, 400, 600)] * 12, *width) for width in ((), (NARROW,)))
    assert len(wide.captions) == 12 and 1 < len(narrow.captions) < 12
    assert narrow.captions[-1].at > narrow.bars[-3].x  # the newest month has its name
    for chart in (wide, narrow):
        assert all(after.at - before.at >= 56 for before, after in itertools.pairwise(chart.captions))
        assert all(chart.left <= bar.x <= chart.right - chart.bar_width for bar in chart.bars)
        assert len({(key.x, key.y) for key in chart.legend}) == 4
        assert max(key.x for key in chart.legend) + 120 <= chart.width and max(key.y for key in chart.legend) < chart.height
