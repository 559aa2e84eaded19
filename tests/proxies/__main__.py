"""Print what becomes of a call behind real proxies: `python -m tests.proxies`."""

from __future__ import annotations

from tests.proxies.playing import MAX_RETRIES, METHODS, SITUATIONS, stage
from tests.proxies.programs import PROGRAMS, find_program

print(f"arrivals at the backend, with max_retries={MAX_RETRIES}")
print(f"{'proxy':8} {'situation':13} {'status':6} {'delivery':8} " + " ".join(f"{method:>6}" for method in METHODS))
for name in PROGRAMS:
    if find_program(name) is None:
        print(f"{name} is not installed")
        continue
    with stage(name) as place:
        for situation in SITUATIONS:
            seen = [place.play(situation, method) for method in METHODS]
            statuses = "/".join(sorted({str(one.status) for one in seen}))
            deliveries = "/".join(sorted({one.delivery for one in seen}))
            print(f"{name:8} {situation:13} {statuses:6} {deliveries:8} " + " ".join(f"{one.arrived:6}" for one in seen))
