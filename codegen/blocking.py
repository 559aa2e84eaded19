"""`python -m codegen.blocking`: write `crm_adapter/blocking.py`, which is `crm_adapter/aio.py` without asyncio.

Signatures and docstrings are so told once, and yet stand in both files, where editors and the documentation find them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "crm_adapter/aio.py"
TARGET: Final = ROOT / "crm_adapter/blocking.py"
HEAD: Final = '''"""The functions of `crm_adapter` for threads and scripts; `crm_adapter.aio` has the same for asyncio."""

# Written by `python -m codegen.blocking` from aio.py: change that file.
'''
REPLACED: Final = (
    (
        r"from sqlalchemy\.ext\.asyncio import AsyncSession, async_sessionmaker",
        "from sqlalchemy.orm import Session, sessionmaker",
    ),
    (r"async_sessionmaker\[AsyncSession\]", "sessionmaker[Session]"),
    (r"\bAsyncTimeweb\b", "Timeweb"),
    (r"\basync def\b", "def"),
    (r"\bawait ", ""),
    (r"\.arun\(", ".run("),
    (r"\baensure_fresh\b", "ensure_fresh"),
    (r"a task on this loop", "one named thread"),
)


def written() -> str:
    """What the file has to be."""
    text = SOURCE.read_text(encoding="utf-8").split('"""', 2)[2].lstrip()
    for pattern, new in REPLACED:
        text, found = re.subn(pattern, new, text)
        if not found:
            raise LookupError(f"{SOURCE.name} has no {pattern}: take the rule out of {Path(__file__).name}")
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=f"{HEAD}\n{text}", capture_output=True, text=True, check=True, cwd=ROOT).stdout


if __name__ == "__main__":
    TARGET.write_text(written(), encoding="utf-8")
