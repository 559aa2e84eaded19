"""A signal is heard where the code says so, and never lost."""

from __future__ import annotations

import os
import signal

import pytest

from crm_adapter.interruption import Interrupted, listening, shielded, signals


class Interrupting:
    """Sends SIGTERM to its own process when it is collected, where Python drops whatever is raised."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10):
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("failure", [None, ValueError()])
def test_a_signal_within_a_finaliser_is_heard_when_the_call_is_over(failure: Exception | None) -> None:
    done = False
    with pytest.raises(Interrupted) as caught, signals(), shielded(), listening():  # noqa: PT012
        Interrupting()
        done = True
        if failure is not None:
            raise failure
    assert (done, caught.value.exit_code) == (True, 143)


def test_a_failure_without_a_signal_stays_what_it_is() -> None:
    with pytest.raises(ValueError), signals(), shielded(), listening():  # noqa: PT011
        raise ValueError
