"""What a sync of a large account holds: the peak of a fresh process at 30,000 servers, less that at 10,000, per server.

SQLite, the real client, and the emulator in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from crm_adapter import sync_all
from crm_adapter.db.tables import create_all
from tests.benchmarks.crm import peak_mb
from timeweb_sdk import RateLimit, Timeweb

SIZES = (10_000, 30_000)
BUDGET = 3.0
"""Kilobytes per server."""
OUTDATED = ("UPDATE hosting_servers SET configuration = '-'", "UPDATE timeweb_server_state SET fingerprint = '-'")
"""Makes every row one that a run has to write."""


@contextmanager
def emulator(servers: int) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "timeweb_sdk.testing", "--port", "0", "--no-rate-limit", "--servers", str(servers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()


def peak(address: str, database: str) -> float:
    """Megabytes of this process once it has synchronised the account."""
    engine = create_engine(database)
    create_all(engine)
    with Timeweb("emulator-token", base_url=address, rate_limit=RateLimit.off()) as timeweb:
        report = sync_all(sessionmaker(engine), timeweb)
    assert report.status == "success", report
    return peak_mb()


def peaks(servers: int) -> dict[str, float]:
    """Of the first run, of one that changes nothing and of one that writes all rows."""
    with emulator(servers) as address, tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'crm.sqlite3'}"
        command = [sys.executable, "-m", "tests.benchmarks.memory", address, database]
        found: dict[str, float] = {}
        for run in ("create", "no-op", "update"):
            if run == "update":
                with create_engine(database).begin() as connection:
                    for statement in OUTDATED:
                        connection.execute(text(statement))
            found[run] = float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        return found


def main() -> int:
    """Print the table; exit 1 where the budget is exceeded."""
    if len(sys.argv) > 1:
        print(peak(*sys.argv[1:]))
        return 0
    few, many = (peaks(size) for size in SIZES)
    print("## CRM: memory of a run\n")
    print(f"| run | {SIZES[0]:,} servers, MB | {SIZES[1]:,} servers, MB | per server between them, kB | budget |")
    print("|---|--:|--:|--:|--:|")
    each = {run: (many[run] - few[run]) * 1024 / (SIZES[1] - SIZES[0]) for run in few}
    for run, kilobytes in each.items():
        print(f"| {run} | {few[run]:.0f} | {many[run]:.0f} | {kilobytes:.1f} | {BUDGET:.0f} |")
    return 0 if max(each.values()) <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
