"""The rate limit: at most 20 requests in any one second on one endpoint, by their arrival."""

from __future__ import annotations

from collections import defaultdict, deque


class RateWindow:
    """A sliding window per key; a refused request does not count, as nothing was served."""

    def __init__(self, limit: int = 20, seconds: float = 1.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self._arrivals: dict[str, deque[float]] = defaultdict(deque)

    def admit(self, key: str, now: float) -> bool:
        arrivals = self._arrivals[key]
        while arrivals and now - arrivals[0] >= self.seconds:
            arrivals.popleft()
        if len(arrivals) >= self.limit:
            return False
        arrivals.append(now)
        return True
