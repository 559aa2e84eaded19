"""The picture beside the tables: the clients side by side, as bars, drawn from the table itself."""

from __future__ import annotations

import re
from html import escape
from itertools import count
from typing import NamedTuple

#: Rows of the table that are drawn, with what is better.
ROWS = {
    "one call, sync": "less is better",
    "calls per second, async, 20 in flight": "more is better",
    "list of 1,000 servers": "less is better",
    "import and client": "less is better",
}
OURS = "ours"
_WIDTH, _PANEL, _LABEL, _BAR, _LINE, _HEAD = 800, 400, 130, 160, 20, 46
#: A picture has a ground of its own, so that it can be read on a page of any colour.
_STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.note, .number { fill: #59636e }
.ground { fill: #ffffff }
.bar { fill: #afb8c1 }
.bar.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .note, .number { fill: #9198a1 }
  .ground { fill: #0d1117 }
  .bar { fill: #656c76 }
  .bar.ours { fill: #4493f8 }
}"""


class Bar(NamedTuple):
    """One client in one row."""

    client: str
    value: float
    shown: str


def read(page: str) -> dict[str, list[Bar]]:
    """Return the bars of each row from the table of clients in `page`; a client that was not measured has none."""
    lines = page.split("## Clients side by side")[1].split("\n## ")[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    read = {}
    for name, *cells in rows:
        shown = [(client, cell.partition(" (")[0]) for client, cell in zip(head[1:], cells, strict=True) if cell != "–"]
        read[name] = [Bar(client, float(re.sub(r"[^\d.]", "", text)), text) for client, text in shown]
    return {name: read[name] for name in ROWS}


def draw(page: str) -> str:
    """Return the picture, as SVG, of the table in `page`."""
    panels = read(page)
    height = _HEAD + _LINE * max(map(len, panels.values())) + 10
    drawn = [_panel(name, bars, *divmod(place, 2), height) for place, (name, bars) in zip(count(), panels.items())]
    size = f"{_WIDTH} {height * ((len(panels) + 1) // 2)}"
    title = "Clients side by side: " + "; ".join(panels)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" aria-label="{escape(title)}">',
            f"<style>\n{_STYLE}\n</style>",
            '<rect class="ground" width="100%" height="100%" rx="6"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(name: str, bars: list[Bar], row: int, column: int, height: int) -> str:
    longest = max(bar.value for bar in bars)
    lines = [
        f'<g transform="translate({column * _PANEL + 16} {row * height})">',
        f'<text class="title" y="24">{escape(name)} <tspan class="note" font-weight="400">({ROWS[name]})</tspan></text>',
    ]
    for place, bar in enumerate(bars):
        y, length = _HEAD + place * _LINE, max(2, round(_BAR * bar.value / longest))
        kind = "bar ours" if bar.client.startswith(OURS) else "bar"
        lines += [
            f'<text x="{_LABEL - 8}" y="{y}" text-anchor="end">{escape(bar.client)}</text>',
            f'<rect class="{kind}" x="{_LABEL}" y="{y - 11}" width="{length}" height="14" rx="2"/>',
            f'<text class="number" x="{_LABEL + length + 6}" y="{y}">{escape(bar.shown)}</text>',
        ]
    return "\n".join([*lines, "</g>"])
