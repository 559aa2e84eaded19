"""The «Хостинг» page and its endpoints for FastAPI. Importing this package loads nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_adapter.web.router import create_hosting_router as create_hosting_router

__all__ = ["create_hosting_router"]


def __getattr__(name: str) -> Any:
    if name != "create_hosting_router":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from crm_adapter.web.router import create_hosting_router
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"fastapi", "starlette", "jinja2", "multipart", "python_multipart"}:
            raise ImportError("crm_adapter.web needs the extra [web]: pip install 'timeweb-sdk[web]'") from error
        raise
    return create_hosting_router
