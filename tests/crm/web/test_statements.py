"""How often the database is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from tests.crm.web.conftest import PREFIX, Open, Section


@contextmanager
def statements() -> Iterator[list[str]]:
    """Statements as the cursors of all engines get them."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_one_cell_reads_its_row_once(synced: Section, open_client: Open) -> None:
    client, row_id = open_client(synced.app()), 3
    (version,) = synced.query("SELECT coalesce(edit_version, 0) FROM timeweb_server_state WHERE server_id = 3")[0]
    url = f"{PREFIX}/servers/{row_id}/edit?field=client_name"
    with statements() as seen:
        reply = client.post(
            url,
            data={"client_name": "Иванов", "edit_version": str(version)},
            headers={"HX-Request": "true", "Sec-Fetch-Site": "same-origin"},
        )
    assert reply.status_code == 200 and "Иванов" in reply.text and "Сохранено" in reply.text
    asked = [statement for statement in seen if not statement.startswith("PRAGMA")]
    assert len(asked) <= 8, asked
    one_row = [text for text in asked if text.startswith("SELECT") and "WHERE hosting_servers.id" in text]
    assert len(one_row) == 1, one_row
    assert synced.query("SELECT client_name FROM hosting_servers WHERE id = 3") == [("Иванов",)]
