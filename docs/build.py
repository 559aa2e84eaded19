"""Build the site: `nox -s docs`. Pages that repeat data of the code are generated, never committed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from timeweb_sdk.operations import OPERATIONS, Operation

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = ROOT / "build" / "docs"


def operations_page() -> str:
    """One table per tag: the method to call, the endpoint, and what is special about it."""
    by_tag: dict[str, list[Operation]] = defaultdict(list)
    for operation in OPERATIONS.values():
        by_tag[operation.tag].append(operation)
    lines = [
        "# Operations",
        "",
        f"All {len(OPERATIONS)} operations. *Repeats*: `safe` calls are repeated after any transient failure,",
        "`unsent` ones only when the request provably never left ([why](../how-to/retries.md)).",
    ]
    for tag in sorted(by_tag, key=str.casefold):
        lines += ["", f"## {tag}", "", "| call | endpoint | repeats | notes |", "|---|---|---|---|"]
        for operation in sorted(by_tag[tag], key=lambda each: (each.path, each.method)):
            call, endpoint = f"`tw.{operation.attribute}()`", f"`{operation.method} {operation.path}`"
            lines.append(f"| {call} | {endpoint} | {operation.retry} | {notes(operation)} |")
    return "\n".join(lines) + "\n"


def notes(operation: Operation) -> str:
    """What a reader of the table must know beyond the call itself."""
    found = []
    if operation.paginated:
        found.append("paginated")
    if operation.source == "overlay":
        found.append("not in the vendor's contract")
    if operation.deprecated:
        instead = OPERATIONS[operation.replacement].attribute if operation.replacement else None
        found.append(f"deprecated, use `tw.{instead}()`" if instead else "deprecated")
    return ", ".join(found)


def main() -> None:
    """Copy the pages, add the generated ones, build strictly, put the result into site/."""
    shutil.rmtree(BUILD, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.py", "*.toml", "examples", "__pycache__")
    shutil.copytree(DOCS, BUILD / "pages", ignore=ignored)
    shutil.copy(DOCS / "zensical.toml", BUILD)
    (BUILD / "pages/reference/operations.md").write_text(operations_page(), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", *sys.argv[1:]]
    if subprocess.run(command, cwd=BUILD, check=False).returncode:
        sys.exit("the site has warnings, see above")
    site = ROOT / "site"
    shutil.rmtree(site, ignore_errors=True)
    shutil.move(BUILD / "site", site)
    print(f"Built {site.relative_to(ROOT)}/index.html")


if __name__ == "__main__":
    main()
