"""The outbox: who claims what, when it is tried again, when it is given up."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import aio, dispatch_events
from crm_adapter.db.tables import EventOutbox, utcnow
from crm_adapter.notify import dead_letters, retry_dead_letters
from crm_adapter.notify.outbox import MAX_TRIES
from crm_adapter.results import DispatchReport, OutboxEvent, Sink
from tests.crm.database import async_engine
from tests.crm.notify.outbox import NOW, Inbox, close_run, later, open_run, put, rows

Db = sessionmaker[Session]


def test_one_digest_for_each_run(db: Db) -> None:
    put(db, 2, run_id=1)
    put(db, 3, run_id=2)
    put(db, 1, run_id=None, kind="payment_due", days=0, client="ООО «Ромашка»", amount=1500, date="23.11.2026")
    inbox = Inbox()

    report = dispatch_events(db, inbox, now=NOW)

    assert report == DispatchReport(sent=6, messages=3)
    assert [len(events) for *_, events in inbox.messages] == [2, 3, 1]
    assert inbox.texts[2] == "web-5 (ООО «Ромашка»): оплата 1 500,00 ₽ сегодня"
    assert dispatch_events(db, inbox, now=later(days=30)) == DispatchReport()


def test_a_run_is_told_whole_once_it_ended(db: Db) -> None:
    run = open_run(db)
    put(db, 2, run_id=run)
    inbox = Inbox()
    assert dispatch_events(db, inbox, now=NOW) == DispatchReport()

    put(db, 2, run_id=run)
    close_run(db, run)

    assert dispatch_events(db, inbox, now=NOW).sent == 4
    assert len(inbox.messages) == 1


def test_a_run_that_died_does_not_hold_its_news_back_for_ever(db: Db) -> None:
    run = open_run(db)
    put(db, run_id=run)
    assert dispatch_events(db, Inbox(), now=later(minutes=59, seconds=59)).sent == 0
    assert dispatch_events(db, Inbox(), now=later(minutes=60)).sent == 1


def test_more_events_than_the_limit_are_still_one_digest(db: Db) -> None:
    put(db, 30, run_id=1)
    put(db, 9, run_id=2)
    put(db, 1, run_id=3)
    put(db, 1, run_id=4)
    sent = [dispatch_events(db, Inbox(), limit=10, now=NOW) for _ in range(4)]
    assert [(report.sent, report.messages) for report in sent] == [(30, 1), (10, 2), (1, 1), (0, 0)]


@pytest.mark.parametrize(("age", "titles"), [(0, ["Хостинг: 1 событие"] * 7), (1, ["Хостинг: 7 событий"])])
def test_a_backlog_of_more_than_a_day_is_one_message(age: int, titles: list[str], db: Db) -> None:
    for run in range(1, 8):
        put(db, run_id=run)
    inbox = Inbox()
    dispatch_events(db, inbox, now=later(days=1, seconds=age))
    assert [title for title, *_ in inbox.messages] == titles


def test_news_of_today_does_not_go_with_the_backlog(db: Db) -> None:
    put(db, 2, run_id=1)
    put(db, 1, run_id=2, created_at=later(seconds=1))
    inbox = Inbox()
    dispatch_events(db, inbox, now=later(days=1, seconds=1))
    assert [len(events) for *_, events in inbox.messages] == [2, 1]


@pytest.mark.parametrize(("known", "told"), [(499, 500), (500, 500)])
def test_a_sink_is_given_the_500_gravest_and_what_nobody_knows_last(known: int, told: int, db: Db) -> None:
    put(db, 1, kind="made_up")
    put(db, known)
    inbox = Inbox()
    assert dispatch_events(db, inbox, now=NOW).sent == known + 1
    ((title, _, events),) = inbox.messages
    assert title == f"Хостинг: {known + 1} событ{'ий' if known == 499 else 'ие'}"
    assert len(events) == told
    assert ("made_up" in {event.kind for event in events}) is (known == 499)


def test_eight_tries_with_growing_waits_then_a_dead_letter(real_db: Db, caplog: pytest.LogCaptureFixture) -> None:
    put(real_db, 2)
    inbox, moment, waits = Inbox(down=True), NOW, list[float]()
    with caplog.at_level(logging.DEBUG):
        for attempt in range(1, MAX_TRIES + 1):
            report = dispatch_events(real_db, inbox, now=moment)
            assert (report.failed, report.dead) == (2, 2 if attempt == MAX_TRIES else 0)
            due = rows(real_db)[0].next_try_at
            if attempt < MAX_TRIES:
                assert dispatch_events(real_db, inbox, now=due - timedelta(seconds=1)) == DispatchReport()
                waits.append((due - moment).total_seconds())
                moment = due

    assert waits == [60, 120, 240, 480, 960, 1920, 3600]
    assert caplog.messages[0] == "notification not sent: ConnectionError, events 2, given up 0"
    assert caplog.messages[-1] == "notification not sent: ConnectionError, events 2, given up 2"
    with real_db() as session:
        letters = dead_letters(session)
    assert [letter.text for letter in letters] == [f"web-{n}: себестоимость 500,00 ₽ → 700,00 ₽" for n in (1, 0)]
    assert {(letter.tries, letter.error) for letter in letters} == {(8, "ConnectionError")}
    assert "SECRET" not in caplog.text and "SECRET" not in repr([letter.to_dict() for letter in letters])
    inbox.down = False
    assert dispatch_events(real_db, inbox, now=later(days=5)) == DispatchReport()

    with real_db() as session, session.begin():
        assert retry_dead_letters(session, [letters[0].id]) == 1
    assert dispatch_events(real_db, inbox, now=later(days=5)).sent == 1
    with real_db() as session:
        assert [letter.id for letter in dead_letters(session)] == [letters[1].id]


def test_a_broken_sink_does_not_make_the_others_repeat(db: Db) -> None:
    put(db)
    good, bad = Inbox("good"), Inbox("bad", down=True)
    assert dispatch_events(db, [good, bad], now=NOW) == DispatchReport(failed=1, messages=1)
    bad.down = False
    assert dispatch_events(db, [good, bad], now=later(minutes=2)) == DispatchReport(sent=1, messages=1)
    assert (len(good.messages), len(bad.messages)) == (1, 1)


class Pager(Inbox):
    """A sink that does not say what it is called."""

    def __init__(self, *, down: bool = False) -> None:
        super().__init__(down=down)
        del self.name


class Mailer(Pager):
    pass


def told_by(name: str, inbox: Inbox) -> Sink:
    """A plain function, as a host has them."""

    def tell(title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        inbox(title, text, events)

    tell.__qualname__ = name
    return tell


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (lambda good, bad: (good, bad), "inbox"),
        (lambda good, bad: (told_by("good", good), told_by("bad", bad)), f"{__name__}.good"),
        (lambda good, bad: (told_by("same", bad), told_by("same", good)), f"{__name__}.same#1"),
    ],
    ids=["named", "functions", "of one name"],
)
def test_a_sink_is_known_by_its_name(kind: Callable[[Inbox, Inbox], Sequence[Sink]], name: str, db: Db) -> None:
    put(db)
    good, bad = Inbox(), Inbox("bad", down=True)
    dispatch_events(db, kind(good, bad), now=NOW)
    assert rows(db)[0].taken_by == f'["{name}"]'


def test_sinks_without_a_name_are_known_by_their_classes_in_whatever_order_they_are_given(db: Db) -> None:
    put(db)
    good, bad = Mailer(), Pager(down=True)
    dispatch_events(db, [good, bad], now=NOW)
    assert rows(db)[0].taken_by == f'["{__name__}.Mailer"]'
    again, mended = Mailer(), Pager()
    assert dispatch_events(db, [mended, again], now=later(minutes=1)).messages == 1
    assert (len(mended.messages), len(again.messages)) == (1, 0)


def test_of_an_error_only_its_class_is_kept_as_far_as_the_column_goes(db: Db) -> None:
    put(db)

    def sink(title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        raise type("E" * 256, (Exception,), {})("a secret")

    dispatch_events(db, sink, now=NOW)
    assert rows(db)[0].last_error == "E" * 255


def test_a_dispatcher_that_died_gives_its_claim_up(db: Db) -> None:
    put(db)

    def killed(title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dispatch_events(db, killed, now=NOW)
    inbox = Inbox()
    assert dispatch_events(db, inbox, now=later(seconds=599)) == DispatchReport()
    assert dispatch_events(db, inbox, now=later(seconds=600)).sent == 1
    assert rows(db)[0].tries == 2


def test_a_claim_that_lapsed_is_not_settled_by_its_former_owner(db: Db) -> None:
    put(db)
    inbox = Inbox()

    def slow(title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        dispatch_events(db, inbox, now=later(minutes=11))
        raise ConnectionError

    dispatch_events(db, slow, now=NOW)
    assert len(inbox.messages) == 1
    (row,) = rows(db)
    assert row.sent_at == later(minutes=11)
    assert row.last_error is None


def test_the_clock_of_the_database_decides(real_db: Db) -> None:
    """A worker whose clock is a day ahead wrote the event; a failed try is repeated by the database's clock."""
    put(real_db)
    with real_db() as session, session.begin():
        (row,) = session.query(EventOutbox).all()
        row.created_at = row.next_try_at = later(days=1)
    assert dispatch_events(real_db, Inbox(down=True)).failed == 1
    assert abs(rows(real_db)[0].next_try_at - utcnow() - timedelta(minutes=1)) < timedelta(minutes=2)
    assert dispatch_events(real_db, Inbox()) == DispatchReport()


def test_dispatchers_at_once_send_each_event_once(real_db: Db) -> None:
    for run in range(1, 9):
        put(real_db, 5, run_id=run)
    inbox, start = Inbox(), threading.Barrier(4)

    def work() -> None:
        start.wait()
        dispatch_events(real_db, inbox)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(event.id for *_, events in inbox.messages for event in events) == [row.id for row in rows(real_db)]
    assert [len(events) for *_, events in inbox.messages] == [5] * 8
    assert all(row.sent_at for row in rows(real_db))


def test_no_sink_leaves_events_waiting(db: Db) -> None:
    put(db)
    assert dispatch_events(db, [], now=NOW) == DispatchReport()
    assert rows(db)[0].tries == 0


async def test_an_async_sink_runs_on_the_host_s_loop(database_url: str) -> None:
    if database_url.startswith(("mariadb", "mysql")):
        database_url = database_url.replace("pymysql", "asyncmy")
    loops: list[asyncio.AbstractEventLoop] = []

    async def bot(title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        loops.append(asyncio.get_running_loop())

    async with async_engine(database_url.replace("sqlite:", "sqlite+aiosqlite:")) as engine:
        db = async_sessionmaker(engine)
        async with db() as session, session.begin():
            session.add(
                EventOutbox(
                    kind="imported", dedupe_key="a", payload='{"name": "web"}', created_at=NOW, next_try_at=NOW, tries=0
                )
            )
        report = await aio.dispatch_events(db, bot)
    assert report.sent == 1
    assert loops == [asyncio.get_running_loop()]
