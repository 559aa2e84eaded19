"""The package page: links that lead somewhere from anywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from codegen.metadata import PackagePage, readme, repository

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)]+)\)")


@pytest.fixture(params=["published", "at home"])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.com")
    if request.param == "published":
        monkeypatch.setenv("GITHUB_REPOSITORY", "someone/timeweb-sdk")
    metadata: dict[str, object] = {"published": request.param == "published"}
    PackagePage(str(ROOT), {}).update(metadata)
    return metadata


def test_every_link_of_the_page_is_absolute(page: dict[str, object]) -> None:
    text = page["readme"]["text"]  # type: ignore[index]
    links = LINK.findall(text)
    assert links
    assert all(link.startswith(("https://", "#")) for link in links)
    assert ("https://git.example.com/someone/timeweb-sdk/blob/v" in text) == page["published"]


def test_the_addresses_are_those_of_where_it_is_published_from(page: dict[str, object]) -> None:
    assert bool(page["urls"]) == page["published"]
    assert (repository() is not None) == page["published"]


def test_words_and_outer_links_stay() -> None:
    text = "[a](docs/a.md#b) [c](https://example.com) [d](#e)"
    assert readme(text, None, "1") == "a [c](https://example.com) [d](#e)"
    there = "https://example.com/x"
    assert readme(text, there, "1") == f"[a]({there}/blob/v1/docs/a.md#b) [c](https://example.com) [d](#e)"


def test_the_base_package_needs_four_libraries_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {Requirement(text).name for text in project["dependencies"]} == {
        "httpx",
        "pydantic",
        "tenacity",
        "typing-extensions",
    }
    assert not {"version", "readme", "urls"} & project.keys()


def test_every_relative_link_of_the_readme_exists() -> None:
    links = [link for link in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not link.startswith("#") and not (ROOT / link.partition("#")[0]).exists()] == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is absent")
def test_the_source_archive_holds_all_that_the_repository_holds() -> None:
    """So its tests pass where it is unpacked."""
    told = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not told:
        pytest.skip("this is no repository")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    always = {"/pyproject.toml", "/.gitignore", *(f"/{name}" for name in project["project"]["license-files"])}
    assert {f"/{path.partition('/')[0]}" for path in told.splitlines()} == included | always


def test_a_release_signs_its_list_of_parts_before_it_publishes() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))["jobs"]
    assert "sbom" in next(step["run"] for step in jobs["build"]["steps"] if "nox -s" in step.get("run", "")).split()
    assert jobs["attest"]["permissions"] == {"id-token": "write", "attestations": "write"}
    assert "attest" in jobs["publish"]["needs"]
    # What is published is what is in dist/: the list of parts must not be there.
    assert [step["with"]["path"] for step in jobs["publish"]["steps"] if "path" in step.get("with", {})] == ["dist/"]
