"""Templates and static files."""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, Final

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup

from crm_adapter.servers.conditions import days_to_payment
from crm_adapter.text import formats, labels
from crm_adapter.web.addresses import address
from timeweb_sdk.errors import ConfigurationError

_HERE: Final = Path(__file__).parent
STATIC: Final = _HERE / "static"
ROWS_REMEMBERED: Final = 500
"""Five pages of rows, about 4 kB each."""


class _Compiled(jinja2.BytecodeCache):
    """Templates compiled once in a process, however many routers it has: compiling is most of what a router costs."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._code[bucket.key, bucket.checksum] = bucket.code


_COMPILED: Final = _Compiled()


class Renderer:
    """Renders our templates, standalone or inside a template of the host that has a `content` block."""

    def __init__(self, base_template: str | Path | jinja2.Template | None) -> None:
        ours = jinja2.FileSystemLoader(_HERE / "templates")
        loaders: list[jinja2.BaseLoader] = [ours]
        self._base: str | jinja2.Template = "hosting/standalone.html"
        self._host_globals: dict[str, Any] = {}
        if isinstance(base_template, jinja2.Template):
            self._base = base_template
            self._host_globals = dict(base_template.globals)
        elif base_template is not None:
            path = Path(base_template)
            if not path.is_file():
                raise ConfigurationError(f"base_template={str(base_template)!r} is not a file")
            # Behind ours, so that a host's template of the same name cannot take the place of one of ours.
            loaders.append(jinja2.FileSystemLoader(path.parent))
            self._base = path.name
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(loaders),
            autoescape=True,
            finalize=_shown,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=_COMPILED,
        )
        filters: dict[str, Any] = {
            "money": formats.money,
            "percent": formats.percent,
            "day": formats.day,
            "counted": formats.count,
        }
        names: dict[str, Any] = {
            "labels": labels,
            "address": address,
            "has_asset": has_asset,
            "asset_version": asset_version,
            "days_to_payment": days_to_payment,
        }
        self._environment.filters.update(filters)
        self._environment.globals.update(names)
        for name in ours.list_templates():
            self._environment.get_template(name)  # compiled now, so that the first person does not wait for it
        # Drawing rows is most of what a page costs, and from one opening to the next few of them change.
        row: Any = self._environment.get_template("hosting/row.html").module
        self._environment.globals["row"] = lru_cache(ROWS_REMEMBERED)(row.row)

    def page(self, template: str, context: dict[str, Any]) -> str:
        """A whole page."""
        return self._environment.get_template(f"hosting/{template}").render(
            {**self._host_globals, **context, "base_template": self._base, "fragment": False}
        )

    def fragment(self, template: str, context: dict[str, Any]) -> str:
        """The part of a page that htmx swaps in."""
        return self._environment.get_template(f"hosting/{template}").render(
            {**context, "base_template": "hosting/fragment.html", "fragment": True}
        )


@cache
def asset_version(name: str) -> str:
    """A short hash of a static file, so that an upgrade is seen at once and everything else stays in the cache."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


@cache
def has_asset(name: str) -> bool:
    """Whether a file that the build fetches is there."""
    return (STATIC / name).is_file()


def _shown(value: object) -> object:
    """Every value that a template prints goes through here; what a template made itself is Markup and stays."""
    return formats.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
