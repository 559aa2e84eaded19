"""Build the site: `nox -s docs`. Pages that repeat what the code knows are generated, never committed."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

import timeweb_sdk.models
from timeweb_sdk import Timeweb
from timeweb_sdk.operations import OPERATIONS, Operation

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = ROOT / "build" / "docs"
PAGES = BUILD / "pages"
NAV_MARK = "# generated: one page per tag"


def by_tag() -> dict[str, list[Operation]]:
    """All operations, by tag and in the order of their paths."""
    tags: dict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(OPERATIONS.values(), key=lambda each: (each.tag, each.path, each.method)):
        tags[operation.tag].append(operation)
    return dict(tags)


def method(operation: Operation) -> Any:
    """The function behind `tw.servers.disks.list`."""
    return reduce(getattr, operation.attribute.split("."), Timeweb("token-of-the-docs"))


def identifier(value: Any) -> str:
    """Where Python finds a class or function; mkdocstrings uses it as the anchor."""
    return f"{value.__module__}.{value.__qualname__}"


def call(operation: Operation) -> str:
    """What a reader types, with the positional parameters."""
    return f"tw.{operation.attribute}({', '.join(operation.path_params)})"


def summary(operation: Operation) -> str:
    """The first line of the method's docstring."""
    return (inspect.getdoc(method(operation)) or "").partition("\n")[0].replace("|", "\\|")


def notes(operation: Operation) -> str:
    """What a reader of the table must know beyond the call itself."""
    found = [f"`{operation.method} {operation.path}`"]
    if operation.paginated:
        found.append("paginated")
    if operation.retry == "unsent":
        found.append("not repeated once sent")
    if operation.source == "overlay":
        found.append("not in the vendor's contract")
    if operation.deprecated:
        instead = OPERATIONS[operation.replacement].attribute if operation.replacement else None
        found.append(f"deprecated, use `tw.{instead}`" if instead else "deprecated")
    return "<br>".join(found)


def operations_page() -> str:
    """One table per tag: the method to call, what it does, the endpoint and what is special about it."""
    lines = ["# Operations", "", f"All {len(OPERATIONS)} operations; each links to its parameters."]
    for tag, operations in by_tag().items():
        lines += ["", f"## {tag}", "", "| call | endpoint |", "|---|---|"]
        for operation in operations:
            link = f"[`{call(operation)}`](api/{tag}.md#{identifier(method(operation))})"
            lines.append(f"| {link}<br>{summary(operation)} | {notes(operation)} |")
    return "\n".join(lines) + "\n"


def corrections_page() -> str:
    """Every action of the overlay with its reason and source: where the contract is wrong, and how that is known."""
    overlay = yaml.safe_load((ROOT / "openapi/overlay.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Corrections to the contract",
        "",
        "Where the live API and the vendor's contract disagree, the library follows the live API. Each line is one action of",
        "`openapi/overlay.yaml`; an action that the vendor has made unnecessary stops the build.",
        "",
    ]
    for action in overlay["actions"]:
        reason, source, confidence = (" ".join(str(action[f"x-{key}"]).split()) for key in ("reason", "source", "confidence"))
        lines += ["", f"- {reason}", f"  <br>`{action['target']}`", f"  <br>{confidence}: {source}"]
    return "\n".join(lines) + "\n"


def api_page(tag: str, operations: list[Operation]) -> str:
    """The methods of one tag with parameters and docstrings, then its models."""
    lines = [f"# {tag}", "", "## Calls"]
    for operation in operations:
        lines += ["", *directive(identifier(method(operation)), heading=f"tw.{operation.attribute}")]
    models = [getattr(timeweb_sdk.models, name) for name in timeweb_sdk.models.__all__]
    ours = [model for model in models if model.__module__.endswith(f".models.{tag}")]
    lines += ["", "## Models"] if ours else []
    for model in ours:
        lines += ["", *directive(identifier(model), heading=model.__name__)]
    return "\n".join(lines) + "\n"


def directive(path: str, heading: str) -> list[str]:
    """A directive of mkdocstrings under a heading of our own."""
    return [f"::: {path}", "    options:", f"      heading: {heading}", f"      toc_label: {heading}", "      heading_level: 3"]


def write_pages() -> None:
    """Copy the pages and the configuration, and add the generated ones."""
    shutil.rmtree(BUILD, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.py", "*.toml", "examples", "__pycache__")
    shutil.copytree(DOCS, PAGES, ignore=ignored)
    (PAGES / "reference/operations.md").write_text(operations_page(), encoding="utf-8")
    (PAGES / "reference/corrections.md").write_text(corrections_page(), encoding="utf-8")
    (PAGES / "reference/api").mkdir()
    for tag, operations in by_tag().items():
        (PAGES / f"reference/api/{tag}.md").write_text(api_page(tag, operations), encoding="utf-8")
    nav = "".join(f'{{ "{tag}" = "reference/api/{tag}.md" }}, ' for tag in by_tag())
    configuration = (DOCS / "zensical.toml").read_text(encoding="utf-8")
    assert NAV_MARK in configuration
    (BUILD / "zensical.toml").write_text(configuration.replace(NAV_MARK, nav), encoding="utf-8")


def main() -> None:
    """Build strictly and put the result into site/."""
    write_pages()
    command = [sys.executable, "-m", "zensical", "build", "--strict", *sys.argv[1:]]
    if subprocess.run(command, cwd=BUILD, check=False).returncode:
        sys.exit("the site has warnings, see above")
    site = ROOT / "site"
    shutil.rmtree(site, ignore_errors=True)
    shutil.move(BUILD / "site", site)
    print(f"Built {site.relative_to(ROOT)}/index.html")


if __name__ == "__main__":
    main()
