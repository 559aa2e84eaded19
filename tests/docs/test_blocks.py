"""Blocks of the pages that are not run are at least what they claim to be: commands, settings, a crontab, Python."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from crm_adapter.settings import load_settings
from tests.docs.examples import PAGES, ROOT
from timeweb_sdk import Timeweb
from timeweb_sdk.testing.__main__ import _parser as emulator_parser

EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
PROGRAMS = {"cd", "celery", "export", "git", "nox", "pip", "python", "python3", "timeweb-crm", "uvicorn"}
CODEGEN = {"build", "check", "diff", "update", "verify"}
#: Read by the HTTP library.
FOREIGN = {"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"}
SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for package in ("timeweb_sdk/_core", "crm_adapter")
    for path in (ROOT / package).rglob("*.py")
)
#: Checked elsewhere (python), or nothing to check (text).
OTHERS = {"python", "text"}


def blocks() -> Iterator[tuple[str, str, str]]:
    """Page, language and text of each fenced block."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for found in re.finditer(r"^```(\S*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            yield page.relative_to(ROOT).as_posix(), found[1], found[2]


BLOCKS = list(blocks())


def of(language: str) -> list[str]:
    """The texts in one language; a language that is gone from the pages would leave a test without cases."""
    texts = sorted({text for _, name, text in BLOCKS if name == language})
    assert texts
    return texts


def test_every_block_has_a_language_that_is_checked() -> None:
    checked = {"bash", "cron", "ini", "py", "yaml"} | OTHERS
    assert {(page, language) for page, language, _ in BLOCKS if language not in checked} == set()


@pytest.mark.parametrize("text", of("bash"))
def test_commands(text: str) -> None:
    check_commands(text)


@pytest.mark.parametrize("text", of("cron"))
def test_crontab(text: str) -> None:
    for line in text.splitlines():
        *fields, command = line.split(maxsplit=5)
        assert len(fields) == 5
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields)
        check_commands(command)


@pytest.mark.parametrize("text", [text for text in of("ini") if not text.startswith("[")])
def test_settings_are_accepted(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(text.replace("…", "x"), encoding="utf-8")
    for name in dotenv_values(tmp_path / ".env"):
        monkeypatch.delenv(name, raising=False)
        assert name in SOURCES
    monkeypatch.chdir(tmp_path)
    assert load_settings().tokens


@pytest.mark.parametrize("text", [text for text in of("ini") if text.startswith("[")])
def test_profiles_are_accepted(text: str, tmp_path: Path) -> None:
    file = tmp_path / ".twcrc"
    file.write_text(text.replace("…", "token-of-a-profile"), encoding="utf-8")
    for name in re.findall(r"^\[(.+)\]$", text, re.MULTILINE):
        with Timeweb("token-of-a-profile") as expected, Timeweb.from_profile(name, file=file) as timeweb:
            assert timeweb.token_fingerprint == expected.token_fingerprint


@pytest.mark.parametrize("text", of("yaml"))
def test_actions_are_such_as_the_overlay_has(text: str) -> None:
    committed = [
        action
        for name in ("overlay", "english")
        for action in yaml.safe_load((ROOT / f"openapi/{name}.yaml").read_text(encoding="utf-8"))["actions"]
    ]
    shapes = [set(action) for action in committed]
    for action in yaml.safe_load(text):
        assert set(action) in shapes
        assert action.get("x-confidence", "live") in {"live", "documented", "inferred"}


@pytest.mark.parametrize("text", of("py"))
def test_code_of_others_is_python(text: str) -> None:
    compile(text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def check_commands(text: str) -> None:
    """A shell parses them, their programs are known, and what is ours takes these arguments."""
    bash = shutil.which("bash")
    if bash:
        subprocess.run([bash, "-n"], input=text, text=True, check=True)
    for command in re.split(r"\n|&&|;", re.sub(r"\S*>&?\s*\S+", "", text)):
        words = shlex.split(command)
        if words:
            check_command(words[0].rpartition("/")[2], words[1:])


def check_command(program: str, arguments: list[str]) -> None:
    assert program in PROGRAMS
    match [program, *arguments]:
        case ["export", *assignments]:
            names = {each.partition("=")[0] for each in assignments}
            assert all(name in FOREIGN or name in SOURCES for name in names)
        case [_, "-m", "timeweb_sdk.testing", *rest]:
            emulator_parser().parse_args(rest)
        case ["nox", "-s", "codegen", "--", *rest]:
            assert rest[0] in CODEGEN
        case ["pip", "install", *requirements]:
            for requirement in requirements:
                found = re.fullmatch(r"timeweb-sdk\[(.*)\]", requirement)
                assert set(found[1].split(",") if found else ()) <= EXTRAS
        case _:
            pass  # options of timeweb-crm and names of sessions: test_commands.py
