"""The committed contract is built once, and small contracts are built without its corrections."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codegen import build as pipeline
from codegen.build import Build, Compiled
from codegen.distil import distil
from codegen.documents import BUNDLE, write_lock
from codegen.tree import Json

Run = Callable[..., Build]
Import = Callable[..., str]


@pytest.fixture(scope="session")
def compiled() -> Compiled:
    """What the committed contract says. It takes seconds: tests that need it stand together in test_build.py."""
    return pipeline.compile_contract(pipeline.read_bundle(BUNDLE))


@pytest.fixture(scope="session")
def committed(compiled: Compiled) -> Build:
    """What the committed contract gives."""
    return pipeline.generate(compiled)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the pipeline over a document as a vendor would publish it, with locks of one's own and no corrections."""

    def build(
        document: Json,
        names: dict[str, str] | None = None,
        numbers: dict[str, str] | None = None,
        texts: list[Json] | None = None,
    ) -> Build:
        for name, actions in (("overlay.yaml", []), ("english.yaml", texts or [])):
            (tmp_path / name).write_text(json.dumps({"overlay": "1.0.0", "actions": actions}), encoding="utf-8")
        write_lock(tmp_path / "names.lock", names or {})
        write_lock(tmp_path / "numbers.lock", numbers or {})
        return pipeline.run(distil(document), folder=tmp_path)

    return build


@pytest.fixture
def in_package(tmp_path: Path) -> Import:
    """Write a build as a package and run Python code in it; returns what it prints."""

    def imported(build: Build, code: str) -> str:
        package = tmp_path / pipeline.PACKAGE.name
        package.mkdir()
        for path in pipeline.PACKAGE.iterdir():  # what is written by hand is only looked at
            if path.name not in {pipeline.GENERATED, "__pycache__"}:
                (package / path.name).symlink_to(path)
        pipeline.write(build, package)
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return imported
