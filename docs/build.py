"""Build the site: `nox -s docs`. Pages that repeat what the code knows are generated, never committed."""

from __future__ import annotations

import ast
import html
import inspect
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import cache, reduce
from pathlib import Path
from typing import Any

import yaml

import timeweb_sdk.models
import timeweb_sdk.params
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
        found.append("repeated only if it never left or was refused")
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
    """The methods of one tag with parameters and docstrings, then its models and what its bodies accept in their place."""
    lines = [f"# {tag}"] + (["", "## Calls"] if operations else [])
    for operation in operations:
        lines += ["", *directive(identifier(method(operation)), heading=f"tw.{operation.attribute}")]
    for heading, public in (("Models", timeweb_sdk.models), ("Parameter types", timeweb_sdk.params)):
        classes = [getattr(public, name) for name in public.__all__]
        ours = [each for each in classes if home(each) == tag]
        lines += ["", f"## {heading}"] if ours else []
        for each in ours:
            # The values are for what is no class: a TypedDict with a key such as `from` is written as a call.
            options = {"members": "false", "show_attribute_values": "true"}
            lines += ["", *directive(identifier(each), heading=each.__name__, **options), "", *fields_table(each)]
    return "\n".join(lines) + "\n"


def home(model: type[Any]) -> str:
    """The page of a generated class: the name of its module."""
    return model.__module__.rpartition(".")[2]


@cache
def classes_of(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module, as written."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def fields_table(model: type[Any]) -> list[str]:
    """One row per field; a heading for each, as mkdocstrings has them, would make a page of thousands of lines."""
    written = classes_of(model.__module__).get(model.__name__)
    body = written.body if written else []
    lines = ["| field | type | |", "|---|---|---|"]
    for position, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            below = body[position + 1] if position + 1 < len(body) else None
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            lines.append(f"| `{node.target.id}` | {type_cell(ast.unparse(node.annotation))} | {cell(str(text))} |")
    return lines if len(lines) > 2 else []


def type_cell(annotation: str) -> str:
    """A type as code in which the names of models are links."""
    public = {name: module for module in (timeweb_sdk.models, timeweb_sdk.params) for name in module.__all__}

    def link(word: re.Match[str]) -> str:
        name = word.group()
        if name not in public:
            return name
        model = getattr(public[name], name)
        return f"[{name}]({home(model)}.md#{identifier(model)})"

    escaped = "".join(f"&#{ord(each)};" if each in "|[]_*" else each for each in html.escape(annotation, quote=False))
    return f"<code>{re.sub(r'[A-Za-z]+[A-Za-z0-9]*', link, escaped)}</code>"


def cell(text: str) -> str:
    """A docstring on one line, fit for a table."""
    return " ".join(text.split()).replace("|", "\\|")


def directive(path: str, heading: str, **options: str) -> list[str]:
    """A directive of mkdocstrings under a heading of our own."""
    given = {"heading": heading, "toc_label": heading, "heading_level": "3", **options}
    return [f"::: {path}", "    options:", *(f"      {name}: {value}" for name, value in given.items())]


def project_pages() -> None:
    """What stands beside README in the repository, with links that work from here."""
    for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY"):
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        (PAGES / f"{name}.md").write_text(text.replace("](docs/", "]("), encoding="utf-8")


def write_pages() -> None:
    """Copy the pages and the configuration, and add the generated ones."""
    shutil.rmtree(BUILD, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.py", "*.toml", "examples", "__pycache__")
    shutil.copytree(DOCS, PAGES, ignore=ignored)
    project_pages()
    (PAGES / "reference/operations.md").write_text(operations_page(), encoding="utf-8")
    (PAGES / "reference/corrections.md").write_text(corrections_page(), encoding="utf-8")
    (PAGES / "reference/api").mkdir()
    tags = by_tag() | {"shared": []}  # models that several tags use
    for tag, operations in tags.items():
        (PAGES / f"reference/api/{tag}.md").write_text(api_page(tag, operations), encoding="utf-8")
    nav = "".join(f'{{ "{tag}" = "reference/api/{tag}.md" }}, ' for tag in tags)
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
