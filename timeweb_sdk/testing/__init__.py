"""Test code that uses Timeweb Cloud without Timeweb Cloud.

Examples:
    >>> from timeweb_sdk.testing import Emulator, demo_state
    >>> emulator = Emulator(demo_state())
    >>> with emulator.client() as tw:
    ...     len(tw.servers.list().items)
    23

`python -m timeweb_sdk.testing --help` tells about the same thing as a server.
"""

from __future__ import annotations

from timeweb_sdk._core.clock import use as use_clock
from timeweb_sdk.testing._account import State
from timeweb_sdk.testing._call import Timings
from timeweb_sdk.testing._clock import Clock, FakeClock, RealClock
from timeweb_sdk.testing._faults import PROFILES, Fault
from timeweb_sdk.testing._http import Request, Response
from timeweb_sdk.testing._server import EmulatorServer
from timeweb_sdk.testing.emulator import Emulator
from timeweb_sdk.testing.scenarios import SCENARIOS, Scenario, demo_state, empty_state

__all__ = [
    "PROFILES",
    "SCENARIOS",
    "Clock",
    "Emulator",
    "EmulatorServer",
    "FakeClock",
    "Fault",
    "RealClock",
    "Request",
    "Response",
    "Scenario",
    "State",
    "Timings",
    "demo_state",
    "empty_state",
    "use_clock",
]
