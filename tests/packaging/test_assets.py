"""The build takes htmx and Pico by name, trusts only their pinned hashes, and goes on without them."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hook as hatchling loads it: by path, without the package around it."""
    spec = importlib.util.spec_from_file_location("build_assets", ROOT / "codegen/assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "build_assets", module)
    spec.loader.exec_module(module)
    return module


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def package_of(build: Any, content: bytes) -> Any:
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    script = build.Asset("package/thing.js", "thing.js", hashlib.sha256(b"1").hexdigest())
    license = build.Asset("package/LICENSE", "thing.LICENSE", hashlib.sha256(b"MIT").hexdigest())
    return build.Package("thing", "1.0", digest, (script, license))


def test_only_the_named_files_of_the_expected_archive_are_unpacked(build: Any, tmp_path: Path) -> None:
    content = archive({"package/thing.js": b"1", "package/LICENSE": b"MIT", "package/evil.js": b"2", "../outside": b"3"})
    build.unpack(package_of(build, content), content, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thing.LICENSE", "thing.js"]


def test_another_archive_of_the_same_name_is_refused(build: Any, tmp_path: Path) -> None:
    content = archive({"package/thing.js": b"1", "package/LICENSE": b"MIT"})
    with pytest.raises(build.AssetError, match="integrity"):
        build.unpack(package_of(build, content), content + b"\0", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_not_fetched_again(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive({"package/thing.js": b"1", "package/LICENSE": b"MIT"})
    monkeypatch.setattr(build, "PACKAGES", (package_of(build, content),))
    fetched: list[str] = []

    def download(package: Any) -> bytes:
        fetched.append(package.name)
        return content

    monkeypatch.setattr(build, "download", download)
    assert build.fetch(tmp_path) == build.fetch(tmp_path)
    assert fetched == ["thing"]
    (tmp_path / "thing.js").write_text("somebody else's", "utf-8")
    build.fetch(tmp_path)
    assert fetched == ["thing", "thing"]
    assert (tmp_path / "thing.js").read_bytes() == b"1"


def test_a_file_that_is_not_the_pinned_one_is_refused(build: Any, tmp_path: Path) -> None:
    content = archive({"package/thing.js": b"2", "package/LICENSE": b"MIT"})
    with pytest.raises(build.AssetError, match=r"package/thing\.js is not the file that was pinned"):
        build.unpack(package_of(build, content), content, tmp_path)
    assert not (tmp_path / "thing.js").exists()


def test_the_npm_of_machines_without_one_is_pinned_as_all_else(build: Any) -> None:
    assert build.NPM_WHEEL in (ROOT / "constraints.txt").read_text().splitlines()
    assert f"{build.NPM_WHEEL} \\" in (ROOT / ".github/tools.txt").read_text().splitlines()


def test_without_npm_or_network_the_build_goes_on_with_a_warning(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []

    class App:
        def display_warning(self, text: str) -> None:
            warnings.append(text)

    monkeypatch.setattr(build, "npm", lambda: ["/nonexistent/npm"])
    hook: Any = object.__new__(build.AssetsHook)
    monkeypatch.setattr(build.AssetsHook, "root", property(lambda self: str(tmp_path)))
    monkeypatch.setattr(build.AssetsHook, "target_name", property(lambda self: "wheel"))
    monkeypatch.setattr(build.AssetsHook, "app", property(lambda self: App()))
    data: dict[str, Any] = {"artifacts": []}
    hook.initialize("standard", data)
    assert data == {"artifacts": []}
    assert "plain" in warnings[0]
    monkeypatch.setenv("TIMEWEB_PLAIN_PAGE", "1")
    hook.initialize("standard", data)
    assert len(warnings) == 1


def test_nothing_of_others_is_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "crm_adapter/web/static/vendor/" in ignored
