"""An empty database of its own for each test, on each of the three databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.databases import own_database


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        engine = sa.create_engine(f"sqlite:///{tmp_path / 'crm.sqlite3'}")
        yield engine
        engine.dispose()
        return
    fixture = "postgres_url" if request.param == "postgresql" else "mariadb_url"
    with own_database(request.getfixturevalue(fixture)) as url:
        engine = sa.create_engine(url)
        yield engine
        engine.dispose()
