"""All flows under the names of the public functions; :mod:`crm_adapter.functions` and :mod:`crm_adapter.aio` drive them."""

from __future__ import annotations

from crm_adapter.reading import changes, runs, totals
from crm_adapter.singles import import_servers, sync_server
from crm_adapter.syncing import plan, sync_all

__all__ = ["changes", "import_servers", "plan", "runs", "sync_all", "sync_server", "totals"]
