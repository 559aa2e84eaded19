"""A stdout that cannot hold every character: no command ends in a traceback over it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from crm_adapter.cli import main


def run(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> tuple[int, str]:
    """The command with its stdout redirected into a file of that encoding."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, errors="strict", write_through=True)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        code = main(list(arguments))
        stream.flush()
    return code, written.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "amount"), [("cp1251", "630,00\u00a0руб."), ("ascii", "630,00 ???."), ("utf-8", "630,00\u00a0₽")]
)
def test_tables_come_out_in_any_encoding(configured: None, monkeypatch: pytest.MonkeyPatch, encoding: str, amount: str) -> None:
    assert main(["migrate"]) == 0
    assert main(["sync", "--all"]) == 0
    code, text = run(monkeypatch, encoding, "servers")
    assert (code, "gitlab" in text, amount in text) == (0, True, True)
    code, _ = run(monkeypatch, encoding, "doctor")
    assert code in {0, 1}
    code, text = run(monkeypatch, encoding, "servers", "--json", "--search", "gitlab")
    assert code == 0
    assert json.loads(text)["servers"][0]["client_name"] == "Не указан"
