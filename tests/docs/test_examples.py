"""Every Python block of README and docs runs against the emulator, over a socket, as a reader would run it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.examples import PAGES, ROOT, program, run_page, without_comments
from timeweb_sdk import Timeweb
from timeweb_sdk.testing import Emulator, EmulatorServer, Timings, demo_state

TOKEN = "token-of-the-docs"
#: Pages with a program of their own: a translation whose program is that of its original runs with it.
PROGRAMS = {without_comments(program(page)): page for page in reversed(PAGES)}
TRANSLATIONS = [page for page in PAGES if page.name.endswith(".ru.md")]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    """The demo that users have too (`--scenario demo --any-token`), found through the environment; an empty folder."""
    emulator = Emulator(demo_state(), token=None, timings=Timings(install=0, action=0, backup=0))
    with EmulatorServer(emulator) as server:
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        monkeypatch.setenv("TIMEWEB_API_TOKEN", TOKEN)
        monkeypatch.setenv("HOSTING_DATABASE_URL", f"sqlite:///{tmp_path}/hosting.sqlite3")
        (tmp_path / "twcrc").write_text(f"[default]\ntoken = {TOKEN}\n[shop]\ntoken = {TOKEN}\n", encoding="utf-8")
        monkeypatch.setenv("TWC_CONFIG_FILE", str(tmp_path / "twcrc"))
        monkeypatch.chdir(tmp_path)
        yield emulator


# A page leaves clients open, as an interactive session would; that is not what it teaches.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("page", PROGRAMS.values(), ids=lambda page: page.relative_to(ROOT).as_posix())
@pytest.mark.usefixtures("settled_heap")
def test_page(page: Path, account: Emulator) -> None:
    blocks = run_page(page)
    # What is left open ends here and not in another test; caches of libraries keep some clients out of the collector's reach.
    for client in [each for each in gc.get_objects() if isinstance(each, Timeweb)]:
        client.close()
    gc.collect()
    gc.freeze()  # what is left is nothing that the next page could have lost
    assert blocks == page.read_text(encoding="utf-8").count("\n```python\n")


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_translation_has_the_program_of_its_original(page: Path) -> None:
    if page.name != "crm-guide.ru.md":  # which is a shorter text
        assert without_comments(program(page)) == without_comments(program(page.with_name(page.name.replace(".ru.", "."))))
