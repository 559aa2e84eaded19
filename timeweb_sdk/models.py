"""The models of the API: ``from timeweb_sdk.models import Server``.

Each is a pydantic model whose unknown fields are kept and reachable. The modules behind are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from timeweb_sdk._generated import models as _generated

if TYPE_CHECKING:
    from timeweb_sdk._generated.models import *

__all__ = _generated.__all__  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    return getattr(_generated, name)


def __dir__() -> list[str]:
    return __all__
