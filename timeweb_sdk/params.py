"""What bodies accept in place of models: ``from timeweb_sdk.params import ServerConfigurationInputParams``.

Each is a TypedDict with the name of its model and ``Params`` behind it. The modules behind are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from timeweb_sdk._generated import params as _generated

if TYPE_CHECKING:
    from timeweb_sdk._generated.params import *

__all__ = _generated.__all__  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    return getattr(_generated, name)


def __dir__() -> list[str]:
    return __all__
