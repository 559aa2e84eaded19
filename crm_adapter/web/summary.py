"""What stands above the table: how fresh the data is, what went wrong, what is earned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_adapter.db.dialects import db_now_ms
from crm_adapter.db.tables import AccountState, EventOutbox, SyncLease
from crm_adapter.servers.totals import read_runs
from crm_adapter.text import page as words
from crm_adapter.text.formats import ago, count, instant
from crm_adapter.text.messages import AS_OF, CRASHED, NEW_TOKEN, as_of, failure_text, run_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.results import RunInfo


@dataclass(frozen=True, slots=True)
class Account:
    """One Timeweb account as the last run left it."""

    account: str
    balance: Decimal | None
    hours_left: int | None
    servers_total: int | None
    last_success_at: datetime | None
    error_code: str | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A message above the table; `path` below the page's address leads on."""

    tone: str
    text: str
    path: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of the data; `progress` is (done, total) of a run under way."""

    accounts: Sequence[Account]
    running: bool
    progress: tuple[int, int] | None
    dead_events: int
    configured: bool

    @property
    def is_refused(self) -> bool:
        """Whether no account lets its token in."""
        return bool(self.accounts) and all(account.error_code == "unauthorized" for account in self.accounts)

    @property
    def updated_at(self) -> datetime | None:
        """The oldest of the accounts' last successes: nothing on the page is older."""
        known = [account.last_success_at for account in self.accounts if account.last_success_at is not None]
        return min(known) if known and len(known) == len(self.accounts) else None

    def as_running(self) -> Summary:
        """The same while a run is about to take its lease."""
        return replace(self, running=True)

    def updated(self, zone: ZoneInfo, now: datetime) -> str:
        """«Обновлено 23.11.2026 15:04 (5 минут назад)»."""
        if self.updated_at is None:
            return words.NEVER_LOADED
        return words.updated(instant(self.updated_at, zone), ago(self.updated_at, now))

    def timeweb(self) -> str:
        """«Timeweb: 23 сервера · баланс 7 378,30 ₽, хватит на 18 дн.»; an unknown number is left out or «—»."""
        totals = [account.servers_total for account in self.accounts if account.servers_total is not None]
        if not totals:
            return ""
        parts = [f"Timeweb: {count(sum(totals), 'server')}"]
        balances = [account.balance for account in self.accounts if account.balance is not None]
        hours = [account.hours_left for account in self.accounts if account.hours_left is not None]
        return " · ".join([*parts, words.funds(sum(balances, Decimal(0)) if balances else None, min(hours, default=None))])

    def notices(self, zone: ZoneInfo, latest: RunInfo | None) -> list[Notice]:
        """Everything that people should know before they trust the numbers."""
        found: list[Notice] = []
        if not self.configured:
            found.append(Notice("warn", words.SHOWN_FROM_DATABASE))
        report = (latest.report if latest else None) or {}
        # A warning about an account says it with numbers; the account's own message is about a failure.
        messages = {(item.get("account"), item["code"]): item["message"] for item in report.get("warnings", ())}
        messages |= {
            (item["account"], item["error_code"]): item["message"] for item in report.get("accounts", ()) if item["message"]
        }
        for account in self.accounts:
            if account.error_code:
                found.append(
                    _account_notice(
                        account, messages.get((account.account, account.error_code)), zone, many=len(self.accounts) > 1
                    )
                )
        told = {account.error_code for account in self.accounts}
        found += [Notice("warn", str(item["message"])) for item in report.get("warnings", ()) if item["code"] not in told]
        if latest is not None and latest.status in {"interrupted", "crashed"} and not self.running:
            found.append(Notice("warn", CRASHED))
        if errors := report.get("error_count"):
            named = [(item.get("server_name") or item.get("server_id"), item["error"]) for item in report.get("errors", ())]
            found.append(Notice("warn", words.unprocessed(errors, named)))
        if self.dead_events:
            found.append(Notice("bad", words.undelivered(self.dead_events), "undelivered", words.SEND_AGAIN))
        return found


def _account_notice(account: Account, message: str | None, zone: ZoneInfo, *, many: bool) -> Notice:
    code = account.error_code or ""
    text = message or failure_text(code)
    if code == "upstream_unavailable" and account.last_success_at is not None and AS_OF not in text:
        text = as_of(text, instant(account.last_success_at, zone, "HH:mm"))
    if code == "unauthorized":
        text = f"{text}. {NEW_TOKEN}"
    tone = "bad" if code in {"unauthorized", "forbidden", "account_mismatch", "suspicious_disappearance"} else "warn"
    return Notice(tone, words.of_account(account.account, text) if many else text)


def read_summary(session: Session, *, configured: bool) -> Summary:
    """Read it in three statements."""
    accounts = session.execute(
        sa.select(*(getattr(AccountState, name) for name in Account.__slots__)).order_by(AccountState.account)
    )
    running, progress = running_now(session)
    dead = session.scalar(sa.select(sa.func.count()).select_from(EventOutbox).where(EventOutbox.dead_at.is_not(None)))
    return Summary([Account(*row) for row in accounts], running, progress, dead or 0, configured)


def running_now(session: Session) -> tuple[bool, tuple[int, int] | None]:
    """Whether some process holds a lease by the database's clock, and how far it is."""
    lease: Any = SyncLease
    held = session.execute(
        sa.select(lease.progress, lease.total).where(lease.owner.is_not(None), lease.expires_ms > db_now_ms())
    ).all()
    done, total = sum(row.progress or 0 for row in held), sum(row.total or 0 for row in held)
    return bool(held), (done, total) if total else None


def latest_run(session: Session) -> RunInfo | None:
    """The newest run, None before the first."""
    return next(iter(read_runs(session, limit=1)), None)


def finished(latest: RunInfo | None) -> str:
    """What a toast says about the last run."""
    if latest is None:
        return ""
    if latest.status in {"running", "interrupted", "crashed"}:
        return CRASHED  # nobody works on it any more, or the caller would not ask
    return run_outcome({"error_code": latest.error_code, **(latest.report or {}), "status": latest.status})


def tone(latest: RunInfo | None) -> str:
    """Whether the end of a run is good news."""
    return "bad" if latest is not None and latest.status in {"failed", "running", "interrupted", "crashed"} else "good"
