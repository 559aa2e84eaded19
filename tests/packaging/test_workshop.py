"""The conftest's promise: under CI an absent service is a failure, at home it is a skip with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = (Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8")
CASE = """
def test_needs_postgres(postgres_url):
    raise AssertionError("unreachable")
"""


@pytest.mark.parametrize(("require", "outcome"), [("0", {"skipped": 1}), ("1", {"errors": 1})])
def test_absent_service(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, require: str, outcome: dict[str, int]
) -> None:
    monkeypatch.setenv("TIMEWEB_TESTS_REQUIRE_SERVICES", require)
    monkeypatch.setenv("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:1/postgres")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(CASE)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(**outcome)
