"""Whatever becomes of a call that holds a slot, the next one goes within one deadline."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import linecache
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.sdk.worlds import TOKEN, SkippingClock
from timeweb_sdk import AsyncTimeweb, DeadlineExceeded, Rate, RateLimit, Timeweb, TimewebError
from timeweb_sdk._core import clock as clocks
from timeweb_sdk._core.limiter import ARRIVES_WITHIN, LINGER

greenlet = pytest.importorskip("greenlet")
pytestmark = pytest.mark.usefixtures("settled_heap")

DEADLINE = 40.0
URL = "http://api.example.com"


class Unheard(BaseException):
    """An exception of a class that nobody expects."""


EXCEPTIONS = (Unheard, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, MemoryError)


@dataclass
class Stage:
    """Calls to one endpoint that takes one request at a time; `on_send` is what becomes of the first."""

    limit: RateLimit = field(default_factory=lambda: RateLimit(Rate(1), Rate(1)))
    on_send: Callable[[], object] | None = None
    on_send_async: Callable[[], Coroutine[Any, Any, object]] | None = None
    kept: list[object] = field(default_factory=list)
    """What must not be garbage."""

    def tidy_up(self) -> None:
        """Leave nothing to the tests that come after."""
        for left in reversed(self.kept):
            if isinstance(left, asyncio.Task):
                left._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(RuntimeError):  # it belongs to a loop that is closed
                    left.get_coro().close()
            elif isinstance(left, (asyncio.AbstractEventLoop, Coroutine)):
                left.close()
            elif isinstance(left, threading.Event):
                left.set()
            elif isinstance(left, threading.Thread):
                left.join()
            elif isinstance(left, greenlet.greenlet):
                left.throw()
        self.kept.clear()
        gc.collect()

    def _reply(self, request: httpx.Request) -> httpx.Response:
        act, self.on_send = self.on_send, None
        if act is not None:
            act()
        return httpx.Response(200, json={})

    async def _areply(self, request: httpx.Request) -> httpx.Response:
        act, self.on_send_async = self.on_send_async, None
        if act is not None:
            await act()
        return self._reply(request)

    def sync(self, **options: Any) -> Timeweb:
        client = httpx.Client(transport=httpx.MockTransport(self._reply))
        tw: Timeweb = self._client(Timeweb, client, options)
        return tw

    def asynchronous(self, **options: Any) -> AsyncTimeweb:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._areply))
        tw: AsyncTimeweb = self._client(AsyncTimeweb, client, options)
        return tw

    def _client(self, kind: Any, client: Any, options: dict[str, Any]) -> Any:
        made = {
            "base_url": URL,
            "allow_http": True,
            "rate_limit": self.limit,
            "total_timeout": DEADLINE,
            "http_client": client,
            **options,
        }
        return kind(TOKEN, **made)


def call(tw: Timeweb) -> object:
    return tw.request("GET", "/x")


async def acall(tw: AsyncTimeweb) -> object:
    return await tw.request("GET", "/x")


def never() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def hang() -> None:
    await never()


Way = Callable[[Stage], object]
WAYS: dict[str, Way] = {}


def way(name: str) -> Callable[[Way], Way]:
    def add(function: Way) -> Way:
        WAYS[name] = function
        return function

    return add


async def _one_under_way_and_others_in_the_queue(stage: Stage) -> None:
    stage.on_send_async = hang
    tw = stage.asynchronous()
    stage.kept += [asyncio.ensure_future(acall(tw)) for _ in range(5)]
    await asyncio.sleep(0.01)


@way("its event loop was closed")
def loop_closed(stage: Stage) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_one_under_way_and_others_in_the_queue(stage))
    loop.close()


@way("its event loop was stopped")
def loop_stopped(stage: Stage) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_one_under_way_and_others_in_the_queue(stage))
    stage.kept.append(loop)


@way("asyncio.run cancelled it")
def loop_cancelled(stage: Stage) -> None:
    asyncio.run(_one_under_way_and_others_in_the_queue(stage))


@way("its task was dropped")
def task_dropped(stage: Stage) -> None:
    async def drop() -> None:
        stage.on_send_async = hang
        coroutine = acall(stage.asynchronous())
        coroutine.send(None)
        del coroutine
        gc.collect()

    asyncio.run(drop())


@way("its coroutine is never resumed")
def never_resumed(stage: Stage) -> None:
    async def start() -> None:
        stage.on_send_async = hang
        coroutine = acall(stage.asynchronous())
        coroutine.send(None)
        stage.kept.append(coroutine)

    asyncio.run(start())


@way("the thread of its loop ended")
def thread_ended(stage: Stage) -> None:
    thread = threading.Thread(target=loop_stopped, args=(stage,))
    thread.start()
    thread.join()


@way("its greenlet was killed")
def greenlet_killed(stage: Stage) -> None:
    here = greenlet.getcurrent()
    stage.on_send = lambda: here.switch()
    other = greenlet.greenlet(lambda: call(stage.sync()))
    other.switch()
    other.throw()


@way("its greenlet is never resumed")
def greenlet_forgotten(stage: Stage) -> None:
    here = greenlet.getcurrent()
    stage.on_send = lambda: here.switch()
    other = greenlet.greenlet(lambda: call(stage.sync()))
    other.switch()
    stage.kept.append(other)


@way("its hook never returns")
def hook_hangs(stage: Stage) -> None:
    reached, end = threading.Event(), threading.Event()

    def hook(_: object) -> None:
        reached.set()
        end.wait()

    def hold() -> None:
        with contextlib.suppress(TimewebError):
            call(stage.sync(hooks=[hook]))

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    reached.wait()
    stage.kept += [holder, end]


def _raises(kind: type[BaseException]) -> Callable[..., None]:
    def strike(*_: object) -> None:
        raise kind

    return strike


def _in_a_hook(kind: type[BaseException], event: str) -> Way:
    def vanish(stage: Stage) -> None:
        def hook(told: Any) -> None:
            if told.kind == event:
                raise kind

        with contextlib.suppress(kind):
            call(stage.sync(hooks=[hook]))
        with contextlib.suppress(kind):
            _finish(acall(stage.asynchronous(hooks=[hook])))

    return vanish


def _while_it_is_sent(kind: type[BaseException]) -> Way:
    def vanish(stage: Stage) -> None:
        stage.on_send = _raises(kind)
        with contextlib.suppress(kind, TimewebError):
            call(stage.sync(max_retries=0))
        stage.on_send = _raises(kind)
        with contextlib.suppress(kind, TimewebError):
            _finish(acall(stage.asynchronous(max_retries=0)))

    return vanish


def _finish(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run it in a loop of its own, without asyncio.run, which would tidy up after it."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()


for _kind in EXCEPTIONS:
    WAYS[f"{_kind.__name__} struck while it was sent"] = _while_it_is_sent(_kind)
    for _event in ("request", "response"):
        WAYS[f"a hook raised {_kind.__name__} on its {_event}"] = _in_a_hook(_kind, _event)


@way("an exception struck while it waited")
def struck_while_waiting(stage: Stage) -> None:
    class Striking(SkippingClock):
        def sleep(self, seconds: float, /) -> None:
            raise KeyboardInterrupt

    tw = stage.sync()
    call(tw)
    before = clocks.current()
    striking = Striking()
    striking._skipped = before.monotonic() - time.monotonic()
    # Not `use`: the limits must be those of the others.
    clocks._current = striking
    try:
        with pytest.raises(KeyboardInterrupt):
            call(tw)
    finally:
        clocks._current = before


AT_ONCE = [name for name in WAYS if not any(word in name for word in ("stopped", "never", "thread"))]
"""Where it can be seen that nobody goes on."""


@pytest.fixture
def stage(clock: SkippingClock) -> Iterator[Stage]:
    made = Stage()
    yield made
    made.tidy_up()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", WAYS)
def test_the_next_call_goes_within_one_deadline(name: str, asynchronous: bool, stage: Stage, clock: SkippingClock) -> None:
    WAYS[name](stage)
    stage.on_send = stage.on_send_async = None
    clock.sleep(DEADLINE + LINGER)
    clock.slept.clear()

    began = clock.monotonic()
    if asynchronous:
        asyncio.run(acall(stage.asynchronous()))
    else:
        call(stage.sync())
    assert clock.monotonic() - began < 10  # a busy machine; an answer comes at once
    assert sum(clock.slept) <= 1.1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("name", AT_ONCE)
def test_what_is_seen_to_be_gone_is_not_waited_for(name: str, stage: Stage, clock: SkippingClock) -> None:
    WAYS[name](stage)
    stage.on_send = stage.on_send_async = None
    if WAYS[name] is loop_closed:  # the one that was sent may still arrive; those behind it never will
        clock.sleep(ARRIVES_WITHIN + 1)
    clock.slept.clear()
    began = clock.monotonic()
    call(stage.sync())
    assert sum(clock.slept) <= 2.1  # a window at each of two gates
    assert clock.monotonic() - began < 10  # nor in real time, which is what a queue waits in


def test_a_loop_that_goes_on_too_late_sends_nothing(stage: Stage, clock: SkippingClock) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_one_under_way_and_others_in_the_queue(stage))
    clock.sleep(DEADLINE + LINGER)
    call(stage.sync())
    late: Any = stage.kept[1:]
    loop.run_until_complete(asyncio.wait(late))
    assert {type(task.exception()) for task in late} == {DeadlineExceeded}
    stage.kept.append(loop)


def test_who_waits_is_served_when_a_slot_ends_by_itself() -> None:
    """In real time: nobody moves the clock on for those who wait."""
    with clocks.use(clocks.SystemClock()):
        stage = Stage(RateLimit(Rate(1, 0.05), Rate(1, 0.05)))
        loop = asyncio.new_event_loop()
        stage.on_send_async = hang
        began = time.monotonic()
        stage.kept += [loop, loop.create_task(acall(stage.asynchronous(total_timeout=0.4)))]
        while stage.on_send_async is not None:
            loop.run_until_complete(asyncio.sleep(0))

        waiting = [threading.Thread(target=call, args=(stage.sync(),)) for _ in range(2)]
        for thread in waiting:
            thread.start()
        asyncio.run(acall(stage.asynchronous()))
        for thread in waiting:
            thread.join()
        # Not before the slot has ended; were it not served then, each of them would fail at its deadline.
        assert time.monotonic() - began > 0.4
        stage.tidy_up()


class Striker:
    """Raises at the n-th line of the engine that this thread runs."""

    FILES = ("limiter.py", "pacing.py", "engine.py", "drivers.py")

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, frame: Any, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.endswith(self.FILES):
            return None
        # Leaving a `with` is traced before its lock is free, where no exception can strike that is not of a tracer.
        if event == "line" and not linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip().startswith("with "):
            self.left -= 1
            if self.left == 0:
                raise Unheard
        return self


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited")
def test_an_exception_between_any_two_lines_loses_no_slot(clock: SkippingClock) -> None:
    """As KeyboardInterrupt does."""
    before = sys.gettrace()
    for number in range(1, 2000):
        stage = Stage(RateLimit(Rate(1, 0.5 + number / 1e6), Rate(1, 0.5)))  # buckets of their own
        tw = stage.sync()
        striker = Striker(number)
        sys.settrace(striker)
        try:
            call(tw)
            call(tw)
        except Unheard:
            pass
        finally:
            sys.settrace(before)
        clock.sleep(DEADLINE + 2)
        clock.slept.clear()
        call(tw)
        assert sum(clock.slept) < 1.1, f"line {number}"  # a window at each of two gates
        clock.sleep(2)
        if striker.left > 0:
            break
    else:
        pytest.fail("there is no end of lines")
    assert number > 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_starts_clean_when_the_parent_forks_in_the_middle_of_calls() -> None:
    with clocks.use(clocks.SystemClock()):
        stage = Stage(RateLimit(Rate(1), Rate(1)))
        reached, end = threading.Event(), threading.Event()

        def hang_here() -> None:
            reached.set()
            end.wait()

        stage.on_send = hang_here
        holder = threading.Thread(target=call, args=(stage.sync(),))
        holder.start()
        reached.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            began = time.monotonic()
            status = 1
            with contextlib.suppress(BaseException):
                call(Stage(stage.limit).sync(total_timeout=30))
                status = 0 if time.monotonic() - began < 30 else 2
            os._exit(status)
        _, status = os.waitpid(child, 0)
        end.set()
        holder.join()
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_call_that_forks_in_its_hook_can_end_in_both_processes(clock: SkippingClock) -> None:
    stage = Stage()
    children: list[int] = []

    def fork(_: object) -> None:
        if not children:
            children.append(os.fork())
            if children[0] == 0:
                signal.alarm(20)

    tw = stage.sync(hooks=[fork])
    status = 1
    try:
        call(tw)
        status = 0
    finally:
        if children[0] == 0:
            os._exit(status)
    _, ended = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(ended) == 0
