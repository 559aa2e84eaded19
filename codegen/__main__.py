"""``python -m codegen``: build, check, diff, update, verify."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from codegen import build as pipeline, changelog, verify
from codegen.documents import BUNDLE, NAMES_LOCK, NUMBERS_LOCK, OPENAPI
from codegen.errors import CodegenError
from codegen.update import update

_SHOWN = 20
"""How many unmatched actions are worth reading: an older bundle leaves hundreds."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m codegen", description="Generate timeweb_sdk from the contract in openapi/."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="regenerate timeweb_sdk/_generated (or a complete package elsewhere)")
    build.add_argument("--from", dest="source", type=Path, help="an OpenAPI bundle other than openapi/bundle.json")
    build.add_argument("--out", type=Path, help="write a complete, importable OUT/timeweb_sdk and leave the checkout alone")
    build.add_argument(
        "--allow-unmatched", action="store_true", help="report overlay actions that match nothing instead of failing"
    )
    commands.add_parser("check", help="fail if the committed code is not what the contract gives")
    diff = commands.add_parser("diff", help="what changes for Python callers between two contracts")
    place = "a folder such as openapi/ (contract, corrections and names of that time), or a bundle"
    diff.add_argument("old", type=Path, help=place)
    diff.add_argument("new", type=Path, help=place)
    updating = commands.add_parser("update", help="take the vendor's new contract, and say what a person has to write")
    updating.add_argument("--from", dest="source", type=Path, help="a file instead of what the vendor publishes")
    updating.add_argument("--changelog", type=Path, metavar="FILE", help="write the changelog there instead of printing it")
    verifying = commands.add_parser("verify", help="decode the vendor's documented bodies with the built models")
    verifying.add_argument("--from", dest="source", type=Path, required=True, help="the vendor's bundle, as published")
    verifying.add_argument("--write", action="store_true", help="keep the issues in openapi/, print those that are new")
    options = parser.parse_args(argv)
    try:
        return _run(options)
    except CodegenError as error:
        for line in str(error).splitlines():
            print(f"codegen: {line}", file=sys.stderr)
    except RecursionError:
        print("codegen: the document is nested too deeply", file=sys.stderr)
    return 1


def _run(options: argparse.Namespace) -> int:
    match options.command:
        case "build":
            return _build(options.source, options.out, allow_unmatched=options.allow_unmatched)
        case "check":
            return _check()
        case "update":
            return update(options.source, options.changelog)
        case "diff":
            print(changelog.markdown(changelog.compare(changelog.surface(options.old), changelog.surface(options.new))))
        case _:
            verify.report(options.source, write=options.write)
    return 0


def _build(source: Path | None, out: Path | None, *, allow_unmatched: bool) -> int:
    if source is not None and out is None:
        raise CodegenError(
            "--from needs --out: the checkout is built from openapi/bundle.json (see `python -m codegen update`)"
        )
    started = time.perf_counter()
    result = pipeline.run(pipeline.read_bundle(source or BUNDLE), allow_unmatched=allow_unmatched)
    package = pipeline.PACKAGE
    if out is not None:
        package = out / pipeline.PACKAGE.name
        shutil.copytree(
            pipeline.PACKAGE, package, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", pipeline.GENERATED)
        )
    pipeline.write(result, package)
    if out is None:
        pipeline.write_locks(result, OPENAPI)
    _list("matched nothing", result.unmatched)
    _list("speaks of nothing, drop it", result.stale_texts)
    _list("to write", result.to_write())
    print(f"{len(result.operations)} operations, {len(result.files)} files, {time.perf_counter() - started:.1f} s -> {package}")
    return 0


def _list(what: str, lines: list[str]) -> None:
    for line in lines[:_SHOWN]:
        print(f"codegen: {what}: {line}", file=sys.stderr)
    if len(lines) > _SHOWN:
        print(f"codegen: and {len(lines) - _SHOWN} more of these ({what})", file=sys.stderr)


def _check() -> int:
    """Build into a temporary folder, compare byte by byte with what is committed, and hold texts and numbers to their rules."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / pipeline.PACKAGE.name
        result = pipeline.run(pipeline.read_bundle(BUNDLE))
        pipeline.write(result, fresh)
        stale = _differences(pipeline.PACKAGE / pipeline.GENERATED, fresh / pipeline.GENERATED)
        pipeline.write_locks(result, Path(folder))
        for lock in (NAMES_LOCK, NUMBERS_LOCK):
            if not lock.exists() or Path(folder, lock.name).read_bytes() != lock.read_bytes():
                stale.append(f"openapi/{lock.name}")
    for line in result.stale_texts:
        print(f"codegen: warning: openapi/english.yaml: speaks of nothing: {line}", file=sys.stderr)
    missing = result.to_write()
    for line in [*missing, *(f"out of date: {name}" for name in stale)]:
        print(f"codegen: {line}", file=sys.stderr)
    if stale:
        print("codegen: run `python -m codegen build` and commit the result", file=sys.stderr)
    return 1 if stale or missing else 0


def _differences(committed: Path, fresh: Path) -> list[str]:
    changed = {name for name, _ in _contents(committed).items() ^ _contents(fresh).items()}
    return sorted(f"timeweb_sdk/{pipeline.GENERATED}/{name}" for name in changed)


def _contents(root: Path) -> dict[Path, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(root): path.read_bytes() for path in files}


if __name__ == "__main__":
    sys.exit(main())
