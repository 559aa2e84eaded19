"""The report of a run that died without writing one, by whoever takes its last lease over: as far as the tables tell it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Final

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from crm_adapter.db.tables import AccountState, ChangeLog, SyncLease, SyncRun
from crm_adapter.results import AccountReport, ReportWarning, SyncReport
from crm_adapter.text import messages

_MARKS: Final = {"created": "created", "timeweb_id": "linked", "restored": "restored", "removed": "missing"}
"""Field of the change log -> what was done to the row; any other field says that it was updated."""
_UNKNOWN: Final = ("unchanged_count", "skipped_count", "error_count", "api_calls")
"""What leaves no trace."""


def tell(session: Session, run_id: int, account: str) -> None:
    """Write what the dead run has committed, from the change log; `account` is the one whose lease was taken over."""
    started_at = session.scalar(select(SyncRun.started_at).where(SyncRun.id == run_id))
    done = _committed(session, run_id)
    unfinished = {account, *session.scalars(select(SyncLease.account).where(SyncLease.run_id == run_id))}
    lost = [AccountReport(name, "failed", "crashed", messages.cut_short(done[name])) for name in sorted(unfinished)]
    state = AccountState
    closed = select(state.account, state.last_status, state.error_code).where(
        state.account.in_(done.keys() - unfinished), state.last_success_at >= started_at
    )
    kept = [AccountReport(name, status or "", code) for name, status, code in session.execute(closed.order_by(state.account))]
    report = SyncReport(
        run_id,
        "partial" if kept else "failed",
        "crashed",
        warnings=(ReportWarning("crashed", messages.TOLD_BY_THE_LOG),),
        accounts=(*kept, *lost),
    )
    counts = sum(done.values(), Counter[str]())
    document = report.to_dict() | {f"{name}_count": counts[name] for name in (*_MARKS.values(), "updated")}
    document |= dict.fromkeys(_UNKNOWN) | {"total_processed": counts.total() - counts["missing"]}
    written = update(SyncRun).where(SyncRun.id == run_id, SyncRun.report.is_(None))
    session.execute(written.values(report=json.dumps(document, ensure_ascii=False)))


def _committed(session: Session, run_id: int) -> defaultdict[str, Counter[str]]:
    """Account -> what was done -> how many servers."""
    log = ChangeLog
    # Of several marks of one row the first of `_MARKS` says what was done.
    ranks = {field: len(_MARKS) - position for position, field in enumerate(_MARKS)}
    rank = func.max(case(ranks, value=log.field, else_=0))
    rows = select(log.account, log.server_id, rank.label("rank")).where(log.run_id == run_id, log.service_id.is_(None))
    each = rows.group_by(log.account, log.server_id).subquery()
    names = {ranks[field]: name for field, name in _MARKS.items()}
    done: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for account, found, count in session.execute(
        select(each.c.account, each.c.rank, func.count()).group_by(each.c.account, each.c.rank)
    ):
        done[account or ""][names.get(found, "updated")] += count
    return done
