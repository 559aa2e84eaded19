"""Timeweb Cloud in a CRM: import servers, keep rows in step, know what each earns.

Functions for threads and scripts are here, the same names for asyncio in `crm_adapter.aio`. Everything is imported
on first touch, so that `import crm_adapter` is cheap and a missing extra is named by the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_adapter.blocking import (
        add_manual as add_manual,
        attribute_services as attribute_services,
        changes as changes,
        clients as clients,
        dispatch_events as dispatch_events,
        ensure_fresh as ensure_fresh,
        import_servers as import_servers,
        link as link,
        mark_paid as mark_paid,
        payment_reminders as payment_reminders,
        plan as plan,
        remove_manual as remove_manual,
        runs as runs,
        services as services,
        set_cost as set_cost,
        sync_all as sync_all,
        sync_server as sync_server,
        totals as totals,
        unlink as unlink,
        update_manual as update_manual,
    )
    from crm_adapter.db.columns import Columns as Columns, FieldMap as FieldMap
    from crm_adapter.db.mapper import validate_mapping as validate_mapping
    from crm_adapter.db.rows import State as State, StoredRow as StoredRow
    from crm_adapter.db.tables import HostingServer as HostingServer
    from crm_adapter.errors import (
        MappingError as MappingError,
        NotConfigured as NotConfigured,
        OperationFailed as OperationFailed,
        UnknownColumn as UnknownColumn,
    )
    from crm_adapter.service import TimewebService as TimewebService, timeweb_service as timeweb_service
    from crm_adapter.sync.mapping import (
        get_primary_ip as get_primary_ip,
        map_server as map_server,
        parse_server_configuration as parse_server_configuration,
    )

_HOMES = {
    "MappingError": "errors",
    "NotConfigured": "errors",
    "OperationFailed": "errors",
    "UnknownColumn": "errors",
    "Columns": "db.columns",
    "FieldMap": "db.columns",
    "validate_mapping": "db.mapper",
    "map_server": "sync.mapping",
    "parse_server_configuration": "sync.mapping",
    "get_primary_ip": "sync.mapping",
    "HostingServer": "db.tables",
    "State": "db.rows",
    "StoredRow": "db.rows",
    "TimewebService": "service",
    "timeweb_service": "service",
} | dict.fromkeys(
    (
        "add_manual",
        "attribute_services",
        "changes",
        "clients",
        "dispatch_events",
        "ensure_fresh",
        "import_servers",
        "link",
        "mark_paid",
        "payment_reminders",
        "plan",
        "remove_manual",
        "runs",
        "services",
        "set_cost",
        "sync_all",
        "sync_server",
        "totals",
        "unlink",
        "update_manual",
    ),
    "blocking",
)

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"crm_adapter.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {
            "sqlalchemy",
            "pydantic_settings",
            "babel",
            "alembic",
            "aiosqlite",
            "greenlet",
        }:
            raise ImportError(f"crm_adapter.{name} needs the extra [crm]: pip install 'timeweb-sdk[crm]'") from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
