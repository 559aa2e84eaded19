"""What a user's type checker pays: cold mypy of a five-line program over one that imports httpx and pydantic."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = {
    "imports httpx and pydantic": """\
import httpx, pydantic
class Server(pydantic.BaseModel):
    id: int
with httpx.Client() as client:
    print(Server.model_validate_json(client.get("https://example.com").content).id)
""",
    "uses `timeweb_sdk`": """\
from timeweb_sdk import Timeweb
with Timeweb() as tw:
    for server in tw.servers.list():
        print(server.id + 1, server.name.upper())
    print(tw.account.finances.get().balance)
""",
}
ROUNDS = 3


def seconds(program: str) -> float:
    """Check one program with nothing cached."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "program.py").write_text(program, encoding="utf-8")
        start = time.perf_counter()
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", "--config-file=", "program.py"]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    """Print one Markdown section."""
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, program in PROGRAMS.items():
            taken[name].append(seconds(program))
    medians = [statistics.median(each) for each in taken.values()]
    print("## Type checking a user's program\n")
    print("Cold `mypy --strict` of five lines.\n\n| program | time | ratio |\n|---|---:|---:|")
    for name, median in zip(PROGRAMS, medians, strict=True):
        print(f"| {name} | {median:.1f} s | {median / medians[0]:.2f} x |")


if __name__ == "__main__":
    main()
