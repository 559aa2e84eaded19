"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen import blocking

ROOT = Path(__file__).parents[2]
PACKAGES = ("timeweb_sdk", "crm_adapter", "codegen", "tests")
LONGEST = 500
HTTPX = {"timeweb_sdk/_core/transport.py", "timeweb_sdk/testing/_transport.py"}


def modules(*packages: str) -> Iterator[tuple[str, str]]:
    """Hand-written modules: path and source."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "_generated" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_module_is_too_long_to_read() -> None:
    lengths = {path: source.count("\n") for path, source in modules(*PACKAGES)}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_httpx_is_imported_by_the_transports_only() -> None:
    """Imports under `if TYPE_CHECKING` do not count: they do not run."""

    class Imports(ast.NodeVisitor):
        found = False

        def visit_If(self, node: ast.If) -> None:
            if ast.unparse(node.test) != "TYPE_CHECKING":
                self.generic_visit(node)

        def visit_Import(self, node: ast.Import) -> None:
            self.found |= any(name.name.partition(".")[0] == "httpx" for name in node.names)

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
            self.found |= (node.module or "").partition(".")[0] == "httpx"

    importing = set()
    for path, source in modules("timeweb_sdk", "crm_adapter"):
        imports = Imports()
        imports.visit(ast.parse(source))
        importing |= {path} if imports.found else set()
    assert importing <= HTTPX


def test_the_crm_half_imports_only_public_names_of_the_sdk() -> None:
    """Neither a module nor a name that begins with an underscore; attributes are for the reviewer."""
    taken = set()
    for path, source in modules("crm_adapter"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("timeweb_sdk"):
                names = [f"{node.module}.{name.name}" for name in node.names]
            elif isinstance(node, ast.Import):
                names = [name.name for name in node.names if name.name.startswith("timeweb_sdk")]
            else:
                continue
            taken |= {f"{path}: {name}" for name in names if any(part.startswith("_") for part in name.split("."))}
    assert taken == set()


def test_words_that_people_read_know_nothing_of_where_they_are_shown() -> None:
    """`text` imports nothing of the adapter but itself, and only the page and `serve` import the page."""
    imported: dict[str, set[str]] = {}
    for path, source in modules("crm_adapter"):
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        imported[path] = {node.module for node in nodes if node.module and node.module.startswith("crm_adapter")}
    words = {module for path, found in imported.items() if "/text/" in path for module in found}
    assert {module for module in words if not module.startswith("crm_adapter.text")} == set()
    outside = {path for path, found in imported.items() if any(module.startswith("crm_adapter.web") for module in found)}
    # `serve` is the page; the package's own `__init__` is lazy.
    assert {path for path in outside if "/web/" not in path} == {"crm_adapter/cli/serve.py"}


def test_russian_stands_where_it_is_read() -> None:
    """In `text` and in the templates. Docstrings may quote it."""
    found = set()
    for path, source in modules("timeweb_sdk", "crm_adapter"):
        if path.startswith("crm_adapter/text/"):
            continue
        tree = ast.parse(source)
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found |= {
            f"{path}:{node.lineno} {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
            if re.search("[А-Яа-яЁё]", node.value)
        }
    assert found == set()


@pytest.mark.parametrize("package", ["timeweb_sdk", "crm_adapter"])
def test_a_lazy_facade_tells_type_checkers_the_names_that_it_has(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    told = {name.asname for node in guarded.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert told == set(importlib.import_module(package).__all__) - {"__version__"}


def test_the_blocking_functions_are_those_of_asyncio() -> None:
    assert blocking.TARGET.read_text(encoding="utf-8") == blocking.written(), "run `python -m codegen.blocking`"


def test_the_layout_in_contributing_is_what_is_there() -> None:
    """Each path of the table exists, and each directory of the repository is in it."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Layout")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([^`]+?)/?` \|", table, re.MULTILINE))
    missing = {path for path in listed if not (ROOT / path).exists()}
    assert not missing
    directories = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    own = {name for name in directories if any((ROOT / name).rglob("*.py")) or name in {"openapi", "docs"}}
    # What tools leave behind (.gitignore) is not layout.
    ignored = {"build", "dist", "site"}
    inner = {
        path.parent.relative_to(ROOT).as_posix()
        for outer in ("crm_adapter", "tests", "tests/crm")
        for path in (ROOT / outer).glob("*/__init__.py")
    }
    assert (own - ignored) | inner <= listed


def test_the_paths_in_the_architecture_are_there() -> None:
    """Of both tables: where things are, and what to open to change what."""
    rows = re.findall(r"^\| .*\|$", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = set(re.findall(r"(?<=[` ])((?:timeweb_sdk|crm_adapter|codegen|openapi|tests|docs)/[\w./-]*)", "\n".join(rows)))
    assert len(named) > 20
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_nothing_names_a_package_registry() -> None:
    hosts = re.compile(rb"(?<![\w.])(files\.pythonhosted\.org|pypi\.org/simple|registry\.npmjs\.org|registry\.yarnpkg\.com)")
    # The source archive is tested where there may be neither a repository nor git.
    git = shutil.which("git")
    told = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout if git else b""
    listed = told.decode().split("\0")
    files = [ROOT / name for name in listed if name] or [path for package in PACKAGES for path in (ROOT / package).rglob("*.*")]
    naming = {path.name for path in files if path.is_file() and path != Path(__file__) and hosts.search(path.read_bytes())}
    assert naming == set()
