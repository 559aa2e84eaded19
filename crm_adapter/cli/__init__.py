"""`timeweb-crm`: the adapter on the command line.

Exit codes: 0 done, 1 finished with errors, 2 wrong usage or configuration, 3 a sync that did nothing because another one
works, 130 and 143 ended by Ctrl+C and by SIGTERM.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "sqlalchemy": "crm",
    "alembic": "crm",
    "pydantic_settings": "crm",
    "babel": "crm",
    "fastapi": "web",
    "starlette": "web",
    "jinja2": "web",
    "uvicorn": "web",
    "multipart": "web",
    "psycopg": "postgres",
    "pymysql": "mariadb",
    "redis": "redis",
}
"""Distributions that an extra brings, by the module whose absence gives them away."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        # Before anything is imported: it is asked by scripts, and where an extra is missing.
        print(f"timeweb-crm {version('timeweb-sdk')}")
        return 0
    try:
        from crm_adapter.cli.app import run

        return run(given)
    except ImportError as error:
        extra = absent_extra(error)
        if extra is None:
            raise
        return _missing_extra(extra, as_json="--json" in given)


def absent_extra(error: BaseException | None) -> str | None:
    """The extra whose module is absent; our own modules wrap that error in one that names the extra in English."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and (extra := _EXTRAS.get((error.name or "").partition(".")[0])):
            return extra
        error = error.__cause__
    return None


def _missing_extra(extra: str, *, as_json: bool) -> int:
    from crm_adapter.text.help import no_extra

    message = no_extra(extra)
    if as_json:
        import json

        print(json.dumps({"success": False, "code": "missing_extra", "extra": extra, "error": message}, ensure_ascii=False))
    else:
        print(message, file=sys.stderr)
    return 2
