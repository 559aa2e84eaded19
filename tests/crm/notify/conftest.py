"""The same three databases as the rest of the adapter's tests."""

from __future__ import annotations

from tests.crm.conftest import database_url, db, mariadb_database, postgres_database, real_db

__all__ = ["database_url", "db", "mariadb_database", "postgres_database", "real_db"]
