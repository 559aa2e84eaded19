"""Run the benchmarks: `nox -s bench`, `nox -s bench -- decoding`, `nox -s bench -- --write`.

Every other module of this package is one benchmark: a program that prints a Markdown section. They run one after
another, each in a process of its own, so that none warms or burdens the next.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks._graph import draw

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"
GRAPH = PAGE.with_suffix(".svg")
SHOWN_VERSIONS = ("timeweb-sdk", "httpx", "httpx2", "pydantic")
INTRODUCTION = """\
# Benchmarks

![Ours beside other clients: one call, calls in flight, a long list, the import](benchmarks.svg)

`nox -s bench` measures ours beside other clients on the same machine in one run; ratios travel better between machines
than milliseconds do. Medians unless said otherwise.
"""

LIMITS = """\
## Where it could not be faster

- **First call.** A client that returns dicts has nothing to load. Ours loads pydantic and the models of the resource that
  is touched, once per process; the import itself stays below that of httpx because both are put off until then.
- **Decoding.** Everything over `json.loads` is pydantic building and checking objects: the ratio to a bare model with the
  same types is the part that is ours. The garbage collector adds to it: a server is 33 objects to look at, and 9 as dicts.
- **Calls in flight.** A call costs some tens of microseconds beyond httpx2: validation first, then the pace and the deadline.
- **200 calls with a network of 5 to 300 ms.** When a request arrived is known only from its reply, so a slot is free one
  second after that, and each turn of a slot loses the way back. Whoever counts from the send is faster, and draws 429s.
- **CRM updates on MariaDB.** Every row gets values of its own, and its driver sends them one by one.
"""


def names() -> list[str]:
    """Return the benchmarks in alphabetical order."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def machine() -> str:
    """One line on what the figures were measured with."""
    versions = ", ".join(f"{name} {version(name)}" for name in SHOWN_VERSIONS)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"Measured {datetime.now(UTC):%Y-%m-%d} with {python} on {os.cpu_count()} cores ({platform.machine()}): {versions}."


def run(name: str, *arguments: str) -> tuple[str, bool]:
    """Run one benchmark, showing what it says on stderr; return its section and whether it succeeded."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, flush=True)
    return done.stdout, done.returncode == 0


def main() -> int:
    """Run the chosen benchmarks; exit 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("benchmarks", nargs="*", choices=[[], *names()], help=f"which ones: {', '.join(names())}")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md, with its graph")
    options = parser.parse_args()
    print(machine(), flush=True)
    if options.write and options.benchmarks:
        parser.error("--write makes the whole page anew, so it takes all benchmarks: leave their names out")
    results = {name: run(name) for name in options.benchmarks or names()}
    if options.write:
        sections = "\n".join(section.strip() + "\n" for section, _ in results.values())
        page = f"{INTRODUCTION}\n{machine()}\n\n{sections}\n{LIMITS}"
        PAGE.write_text(page, encoding="utf-8")
        GRAPH.write_text(draw(page), encoding="utf-8")
    return 0 if all(ok for _, ok in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
