"""The commands of every page run, in the order of the page, against the published demo; what cannot is listed, with the reason.

A page is one terminal: what it exports holds for what follows. Commands of ours are called in this process, which saves their
start; those that serve until they are stopped are processes.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crm_adapter.cli import main as timeweb_crm
from tests.docs.examples import PAGES, ROOT
from timeweb_sdk.__main__ import main as timeweb_sdk
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state
from timeweb_sdk.testing.__main__ import _parser as emulator_parser

#: What is not run here, by how it begins.
NOT_HERE = {
    "pip install": "takes packages from an index",
    "python3 -m venv": "makes an environment of packages from an index; CI begins with it",
    ".venv/bin/nox": "is all of CI",
    "nox -s": "is a step of CI, or rewrites the checkout",
    "git diff": "shows what a maintainer has changed",
}
#: What serves until it is stopped, and what it says when it does.
SERVES = {"python -m timeweb_sdk.testing": "listening on", "timeweb-crm worker": "a round of"}
#: A doctor that finds something to do.
ENDS_WITH = {("timeweb-crm doctor", "docs/crm-guide.md"): 1}
#: Where the pages have the emulator; a test takes a free port.
PUBLISHED = f"http://127.0.0.1:{emulator_parser().parse_args([]).port}"
#: These pages go on where the guide ends.
AFTER_THE_GUIDE = {"docs/what-it-all-costs.md", "docs/what-it-all-costs.ru.md"}


def commands(page: Path) -> tuple[str, ...]:
    blocks = re.findall(r"^```bash\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return tuple(line for block in blocks for line in block.splitlines())


def is_left_out(command: str) -> bool:
    return command.startswith(tuple(NOT_HERE))


ALL = {page.relative_to(ROOT).as_posix(): commands(page) for page in [*PAGES, ROOT / "CONTRIBUTING.md"]}
#: One page for each sequence of commands: a translation has that of its original.
TERMINALS = {left: page for page, found in reversed(ALL.items()) if (left := tuple(c for c in found if not is_left_out(c)))}


class Terminal:
    """Runs commands in an empty folder, with an account that any token opens."""

    def __init__(self, page: str, address: str, patch: pytest.MonkeyPatch, processes: ExitStack) -> None:
        self.page, self.address = page, address
        self.heard = set[str]()
        self._patch, self._processes = patch, processes

    def run(self, command: str) -> None:
        words = shlex.split(command)
        said = next((said for beginning, said in SERVES.items() if command.startswith(beginning)), None)
        match words:
            case _ if said is not None:
                self._serve(words, said)
            case ["export", *assignments]:
                for assignment in assignments:
                    name, _, value = assignment.partition("=")
                    self._patch.setenv(name, value.replace(PUBLISHED, self.address).replace("…", "token-of-a-reader"))
            case ["timeweb-crm", *arguments]:
                assert timeweb_crm(arguments) == ENDS_WITH.get((command, self.page), 0), command
            case ["python", "-m", "timeweb_sdk", *arguments]:
                assert timeweb_sdk(arguments) == 0, command
            case _:
                pytest.fail(f"{self.page} has a command that is neither run nor listed: {command}")

    def _serve(self, words: list[str], said: str) -> None:
        """Start it and wait for what it says; it ends well when it is asked to, after the page."""
        if words[0] == "python":
            words = [sys.executable, *words[1:], "--port", "0"]
        else:
            words[0] = str(Path(sys.executable).with_name(words[0]))
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._processes.callback(self._stop, process)
        assert process.stdout is not None
        line = next(line for line in process.stdout if said in line)
        if address := re.search(r"http://\S+$", line):
            self.address = address[0]
            self.heard.add(line.strip().replace(self.address, PUBLISHED))

    @staticmethod
    def _stop(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0


@pytest.fixture
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Terminal]:
    """An empty folder, and the demo that the pages speak of."""
    with EmulatorServer(Emulator(demo_state(), token=None)) as server, ExitStack() as processes:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        monkeypatch.setenv("TIMEWEB_API_TOKEN", "token-of-the-docs")
        terminal = Terminal(request.param, server.url, monkeypatch, processes)
        if request.param in AFTER_THE_GUIDE:
            for command in ("timeweb-crm migrate", "timeweb-crm sync"):
                terminal.run(command)
        yield terminal


@pytest.mark.parametrize("terminal", TERMINALS.values(), indirect=True)
def test_page(terminal: Terminal) -> None:
    for command in ALL[terminal.page]:
        if not is_left_out(command):
            terminal.run(command)
    shown = re.findall(r"^```text\n(.* listening on .*)$", (ROOT / terminal.page).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(shown) <= terminal.heard


def test_nothing_is_left_out_without_need() -> None:
    """Each reason is that of a command, and none of ours is among them."""
    left_out = {command for found in ALL.values() for command in found if is_left_out(command)}
    assert {beginning for beginning in NOT_HERE if not any(command.startswith(beginning) for command in left_out)} == set()
    assert not [command for command in left_out if command.split()[0] in {"python", "timeweb-crm"}]


@pytest.mark.parametrize("page", [page for page in ALL if page.endswith(".ru.md")])
def test_a_translation_has_the_commands_of_its_original(page: str) -> None:
    assert ALL[page] == ALL[page.replace(".ru.", ".")]
