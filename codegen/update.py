"""`python -m codegen update`: a new contract becomes code, with one list of what is left for a person."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from codegen import build as pipeline, changelog, fetch
from codegen.documents import BUNDLE, NUMBERS_LOCK, OPENAPI, ROOT, read_json
from codegen.errors import CodegenError
from codegen.names import moved
from codegen.surface import Surface
from codegen.tree import pointer

LEFT = 3
"""Exit code: the code is built, and something is left for a person. 1 means that the build stopped."""
_PROVISIONAL = "Provisional: the build stops at what cannot be expressed, and of that this says too much or too little."


def update(source: Path | None, page: Path | None) -> int:
    """Fetch, tell what changed, build, list the public names; LEFT if a person has something to write or to look at."""
    raw = fetch.read(source)
    left = take(raw, OPENAPI, pipeline.PACKAGE, page)
    # In processes of their own: this one may have imported the package as it was.
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "vendor.json")
        bundle.write_bytes(raw)
        commands = (["tests.packaging.surface", "--write"], ["codegen", "verify", "--from", str(bundle), "--write"])
        codes = [subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode for command in commands]
    return LEFT if left or any(codes) else 0


def take(raw: bytes, folder: Path, package: Path, page: Path | None = None) -> list[str]:
    """Take a bundle into `folder` (such as openapi/) and `package`; returns and prints what is left for a person."""
    bundle = folder / BUNDLE.name
    before, paths = _surface(folder), read_json(bundle)["paths"] if bundle.exists() else {}
    fetch.store(raw, folder, fetched=datetime.now(UTC).date())
    contract = pipeline.read_bundle(bundle)
    follow_moves(folder, moved(paths, contract["paths"]))
    compiled = pipeline.compile_contract(contract, folder)
    changes = "What was there before does not compile: `python -m codegen diff` compares two folders."
    if before:
        changes = changelog.markdown(changelog.compare(before, compiled.surface))
    if compiled.problems.found:
        changes = f"{_PROVISIONAL}\n\n{changes}"
    if page:
        page.write_text(changes + "\n", encoding="utf-8")
    else:
        print(changes)
    result = pipeline.generate(compiled, allow_unmatched=True)
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


def follow_moves(folder: Path, moves: dict[str, str]) -> None:
    """Let corrections, texts and numbers speak of a path by its new spelling; `Names.follow_moves` does it for names."""
    for name in ("overlay.yaml", "english.yaml", NUMBERS_LOCK.name):
        before = text = (folder / name).read_text(encoding="utf-8")
        for old, new in moves.items():
            text = text.replace(f"'{old}'", f"'{new}'").replace(f'"{pointer("paths", old)}/', f'"{pointer("paths", new)}/')
        if text != before:
            (folder / name).write_text(text, encoding="utf-8")


def drop_stale(path: Path, stale: list[str]) -> list[str]:
    """Take the actions that match nothing out of a file of texts; returns what was taken out."""
    dropped = {int(found[1]): line for line in stale if (found := re.match(rf"{path.name}: actions\[(\d+)\]", line))}
    head, *actions = re.split(r"(?m)^(?=- target: )", path.read_text(encoding="utf-8"))
    if dropped:
        path.write_text(head + "".join(text for i, text in enumerate(actions) if i not in dropped), encoding="utf-8")
    return list(dropped.values())


def _print(title: str, lines: list[str]) -> None:
    print("\n" + "\n  ".join([f"{title}: {len(lines)}", *lines]), flush=True)
