"""Where events go: sinks for `crm_adapter.dispatch_events`, and the digests that no sink would take.

A sink is any callable `sink(title, text, events)`, sync or async, that raises when it could not deliver. Together
`title` and `text` are plain text of at most 20 event lines and 4,096 UTF-16 units, the limit of one Telegram message.
"""

from __future__ import annotations

from crm_adapter.notify.apprise import AppriseSink, NotDelivered, apprise_sinks
from crm_adapter.notify.dead_letters import DeadLetter, dead_letters, retry_dead_letters
from crm_adapter.results import Sink

__all__ = ["AppriseSink", "DeadLetter", "NotDelivered", "Sink", "apprise_sinks", "dead_letters", "retry_dead_letters"]
