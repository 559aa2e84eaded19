"""`python -m codegen update`: a new contract becomes code, with one list of what is left for a person."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from codegen import build as pipeline, changelog, fetch
from codegen.documents import BUNDLE, OPENAPI, ROOT
from codegen.errors import CodegenError
from codegen.surface import Surface

LEFT = 3
"""Exit code: the code is built, and something is left for a person. 1 means that the build stopped."""
_SURFACE = ("tests.packaging.surface", "--write")


def main(args: list[str]) -> int:
    """Fetch, tell what changed, build, list the public names; LEFT if a person has something to write or to look at."""
    parser = argparse.ArgumentParser(prog="python -m codegen update", description="Take the vendor's new contract.")
    parser.add_argument("--from", dest="source", type=Path, help=f"a file instead of {fetch.BUNDLE_URL}")
    parser.add_argument("--changelog", type=Path, metavar="FILE", help="write the changelog there instead of printing it")
    options = parser.parse_args(args)
    left = take(fetch.read(options.source), OPENAPI, pipeline.PACKAGE, options.changelog)
    listed = subprocess.run([sys.executable, "-m", *_SURFACE], cwd=ROOT, check=False)
    return LEFT if left or listed.returncode else 0


def take(raw: bytes, folder: Path, package: Path, page: Path | None = None) -> list[str]:
    """Take a bundle into `folder` (such as openapi/) and `package`; returns and prints what is left for a person."""
    before = _surface(folder)
    fetch.store(raw, folder, fetched=datetime.now(UTC).date())
    compiled = pipeline.compile_contract(pipeline.read_bundle(folder / BUNDLE.name), folder, allow_unmatched=True)
    changes = "What was there before does not compile: `python -m codegen diff` compares two folders."
    if before:
        changes = changelog.markdown(changelog.compare(before, compiled.surface))
    if page:
        page.write_text(changes + "\n", encoding="utf-8")
    else:
        print(changes)
    result = pipeline.generate(compiled)
    pipeline.write(result, package)
    pipeline.write_locks(result, folder)
    dropped = drop_stale(folder / "english.yaml", result.stale_texts)
    new = [f"{name} ({place})" for place, name in sorted(result.names.new.items())]
    left = [f"openapi/{correction}" for correction in result.unmatched] + result.to_write()
    left += [f"openapi/english.yaml: drop it: {line}" for line in result.stale_texts if line not in dropped]
    _print("Dropped from openapi/english.yaml, for it spoke of nothing", dropped)
    _print("New names in openapi/names.lock: are they what a person would guess?", new)
    _print("Left for a person", left)
    return left


def _surface(folder: Path) -> Surface | None:
    try:
        return changelog.surface(folder)
    except CodegenError:  # an update that stopped here has left its contract to be looked at
        return None


def drop_stale(path: Path, stale: list[str]) -> list[str]:
    """Take the actions that match nothing out of a file of texts; returns what was taken out."""
    dropped = {int(found[1]): line for line in stale if (found := re.match(rf"{path.name}: actions\[(\d+)\]", line))}
    head, *actions = re.split(r"(?m)^(?=- target: )", path.read_text(encoding="utf-8"))
    if dropped:
        path.write_text(head + "".join(text for i, text in enumerate(actions) if i not in dropped), encoding="utf-8")
    return list(dropped.values())


def _print(title: str, lines: list[str]) -> None:
    print("\n" + "\n  ".join([f"{title}: {len(lines)}", *lines]), flush=True)
