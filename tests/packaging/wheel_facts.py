"""Check two builds: same bytes, the wheel within the size budget, typed, and nothing in it that should not be.

Run by `nox -s build` as `python tests/packaging/wheel_facts.py DIST AGAIN`.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

SIZE_BUDGET = 1_500_000  # bytes
EXPECTED = {
    "timeweb_sdk/py.typed",
    "timeweb_sdk/_generated/contract.json",
    "crm_adapter/py.typed",
}
TOP_LEVEL = ("timeweb_sdk/", "crm_adapter/")


def problems(wheel: Path) -> list[str]:
    """Return what is wrong with the wheel, in words."""
    found = []
    if wheel.stat().st_size > SIZE_BUDGET:
        found.append(f"{wheel.name} has {wheel.stat().st_size:,} bytes, the budget is {SIZE_BUDGET:,}")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found += [f"{name} is missing" for name in sorted(EXPECTED - set(names))]
    found += [
        f"{name} should not be in the wheel" for name in names if not name.startswith(TOP_LEVEL) and ".dist-info/" not in name
    ]
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differing(dist: Path, again: Path) -> list[str]:
    """Return what the second build made otherwise."""
    return [f"two builds of {path.name} differ" for path in sorted(dist.iterdir()) if digest(path) != digest(again / path.name)]


def main(dist: Path, again: Path) -> int:
    """Print the facts and the problems; the exit code says whether there are any."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
        count = len(archive.namelist())
    print(f"wheel {wheel.name}: {wheel.stat().st_size:,} bytes, {count} files, {unpacked:,} bytes unpacked")
    print(f"sdist {sdist.name}: {sdist.stat().st_size:,} bytes")
    print(f"sha256 {digest(wheel)} {digest(sdist)}")
    found = problems(wheel) + differing(dist, again)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
