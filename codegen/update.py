"""`python -m codegen update`: a new contract becomes code, with one list of what is left for a person."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from codegen import build as pipeline, changelog, fetch
from codegen.documents import NAMES_LOCK, NUMBERS_LOCK, OPENAPI, ROOT

_SURFACE = ("tests.packaging.surface", "--write")


def main(args: list[str]) -> int:
    """Fetch, build, list the public names, print the changelog and what is left; 1 if anything is left."""
    parser = argparse.ArgumentParser(prog="python -m codegen update", description="Take the vendor's new contract.")
    parser.add_argument("--from", dest="source", type=Path, help=f"a file instead of {fetch.BUNDLE_URL}")
    options = parser.parse_args(args)
    with tempfile.TemporaryDirectory() as folder:
        old = shutil.copytree(OPENAPI, Path(folder, "openapi"))
        fetch.store(fetch.read(options.source), OPENAPI, fetched=datetime.now(UTC).date())
        print(changelog.markdown(changelog.compare(changelog.surface(old), changelog.surface(OPENAPI))))
    result = pipeline.run(pipeline.read_bundle(OPENAPI / "bundle.json"), allow_unmatched=True)
    pipeline.write(result, pipeline.PACKAGE)
    result.names.write(NAMES_LOCK)
    result.numbers.write(NUMBERS_LOCK)
    dropped = drop_stale(OPENAPI / "english.yaml", result.stale_texts)
    subprocess.run([sys.executable, "-m", *_SURFACE], cwd=ROOT, check=True)
    new = [f"{name} ({place})" for place, name in sorted(result.names.new.items())]
    left = [f"openapi/{correction}" for correction in result.unmatched] + result.to_write()
    left += [f"openapi/english.yaml: drop it: {line}" for line in result.stale_texts if line not in dropped]
    _print("Dropped from openapi/english.yaml, for it spoke of nothing", dropped)
    _print("New names in openapi/names.lock: are they what a person would guess?", new)
    _print("Left for a person", left)
    return 1 if left else 0


def drop_stale(path: Path, stale: list[str]) -> list[str]:
    """Take the actions that match nothing out of a file of texts; returns what was taken out."""
    dropped = {int(found[1]): line for line in stale if (found := re.match(rf"{path.name}: actions\[(\d+)\]", line))}
    head, *actions = re.split(r"(?m)^(?=- target: )", path.read_text(encoding="utf-8"))
    if dropped:
        path.write_text(head + "".join(text for i, text in enumerate(actions) if i not in dropped), encoding="utf-8")
    return list(dropped.values())


def _print(title: str, lines: list[str]) -> None:
    print("\n" + "\n  ".join([f"{title}: {len(lines)}", *lines]))
