"""The limit between processes, in Redis.

The same rule as within a process: a slot is free again one window after the reply. A slot in use is held by a lease,
which ends when its request has surely arrived and not after the deadline of its call, so what a process held that died
comes back by itself; and every key expires.
"""

import logging
import random
import time
import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

from timeweb_sdk._core.limiter import ARRIVES_WITHIN, MARGIN, SLOW_FOR
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from timeweb_sdk.limits import Rate

_log = logging.getLogger("timeweb_sdk.limits")

FRESH_FOR = 2.0
"""Seconds that a lease has more than a request needs: so long after a slot is ready it may still be used."""
_AWAY_FOR = 5.0
TIMEOUT = 0.5
"""Seconds for one round trip."""

# KEYS: free slots by the time they are free, slots in use by the end of their lease, the block, the slow mark.
# Times are milliseconds of Redis's own clock. Replies are strings: Lua numbers lose their fraction on the way.
_SCRIPT = """
local free, busy, block, slow = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local action, member = ARGV[1], ARGV[2]
local slots, window, lease, extra = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local keep = math.ceil((window + lease) * 4)

if action == 'reserve' then
  redis.call('ZREMRANGEBYSCORE', free, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', busy, '-inf', now)
  local at = now
  local held = redis.call('ZSCORE', busy, member)
  if not held and redis.call('ZCARD', free) + redis.call('ZCARD', busy) >= slots then
    local first = redis.call('ZRANGE', free, 0, 0, 'WITHSCORES')
    if #first == 0 then return '-1' end
    redis.call('ZREM', free, first[1])
    at = tonumber(first[2])
  end
  at = math.max(at, now + redis.call('PTTL', block))
  redis.call('ZADD', busy, math.min(at + lease, math.max(now + extra, at + window)), member)
  redis.call('PEXPIRE', busy, math.max(keep, math.ceil(at - now) + keep, redis.call('PTTL', busy)))
  return tostring(at - now)
elseif action == 'settle' then
  if redis.call('EXISTS', slow) == 1 then window = window * 2 end
  if redis.call('ZREM', busy, member) == 1 then
    redis.call('ZADD', free, now + window, member)
    redis.call('PEXPIRE', free, keep)
  end
elseif action == 'give_back' then
  if redis.call('ZREM', busy, member) == 1 and extra > 0 then
    redis.call('ZADD', free, now + extra, member)
    redis.call('PEXPIRE', free, keep)
  end
elseif action == 'block' then
  if extra > redis.call('PTTL', block) then redis.call('SET', block, 1, 'PX', math.ceil(extra)) end
  redis.call('SET', slow, 1, 'PX', SLOW_FOR)
end
return '0'
""".replace("SLOW_FOR", f"{SLOW_FOR * 1000:.0f}")


class RedisStore:
    """Shares a rate limit between processes through Redis; needs the extra `timeweb-sdk[redis]`.

    When Redis is away, one warning is logged and each process keeps the limit by itself until it is back. Raises
    ConfigurationError without the package redis, and for a URL that it cannot use.
    """

    def __init__(self, url: str, *, prefix: str = "timeweb_sdk") -> None:
        try:
            # By their names: an import statement would make the type checker of everybody who has redis load all of it.
            redis, backoff, retry = (import_module(name) for name in ("redis", "redis.backoff", "redis.retry"))
        except ImportError as error:
            raise ConfigurationError('RedisStore needs the package redis: pip install "timeweb-sdk[redis]"') from error
        # The last is raised while the interpreter ends: redis loads a part of itself for each script.
        self._away_errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, ImportError)
        self._prefix = prefix
        try:
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=retry.Retry(backoff.NoBackoff(), 0)
            )
        except ValueError as error:
            raise ConfigurationError(f"RedisStore cannot use this URL: {error}") from None
        self._script = self._redis.register_script(_SCRIPT)
        self._away_until = float("-inf")
        self._warned = False

    def __repr__(self) -> str:
        return f"RedisStore(prefix={self._prefix!r})"

    def bucket(self, key: tuple[str, ...], rate: "Rate") -> "RedisBucket":
        return RedisBucket(self, f"{self._prefix}:{{{'|'.join(key)}|{rate.requests}/{rate.seconds:g}}}", rate)

    def run(self, keys: list[str], args: list[Any]) -> float | None:
        """Run the script; None while Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        try:
            reply = float(self._script(keys=keys, args=args))
        except self._away_errors as error:
            self._went_away(error)
            return None
        self._warned = False
        return reply

    def _went_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + _AWAY_FOR
        warned, self._warned = self._warned, True
        if not warned:
            _log.warning("Redis is away (%s): the rate limit holds within this process only", type(error).__name__)


class RedisBucket:
    """The slots of one limit, in Redis. Every method is one round trip and blocks."""

    def __init__(self, store: RedisStore, key: str, rate: "Rate") -> None:
        self._store = store
        self._keys = [f"{key}:{part}" for part in ("free", "busy", "block", "slow")]
        self._rate = rate

    def reserve(self, member: str, left: float) -> tuple[bool, float]:
        """Return (reserved, seconds): go after that time, or ask again after it. The call is over in `left` seconds."""
        wait = self._run("reserve", member, left)
        if wait is None:
            return True, 0.0
        if wait < 0:
            # Every slot is in use by a request under way. What it leaves is free a window later: there is time to ask.
            return False, self._rate.seconds * random.uniform(0.1, 0.3)
        return True, wait / 1000

    def settle(self, member: str) -> None:
        self._run("settle", member)

    def give_back(self, member: str, remaining: float) -> None:
        self._run("give_back", member, remaining)

    def penalise(self, wait: float) -> None:
        self._run("block", "", max(wait, 0.001))

    def _run(self, action: str, member: str, extra: float = 0.0) -> float | None:
        window = self._rate.seconds + MARGIN
        milliseconds = [seconds * 1000 for seconds in (window, ARRIVES_WITHIN + window + FRESH_FOR, extra)]
        return self._store.run(self._keys, [action, member, self._rate.requests, *milliseconds])


def new_member() -> str:
    return uuid.uuid4().hex
