"""The names of all keys in Redis: the hash tag ``{pool}`` puts a pool's keys into one Cluster slot.

While a slot moves from one node to another, its keys are spread over both. A script that ran then would stop halfway
at a key that has left already, or take one that has not arrived yet for missing. So every script declares at least two
keys, one of which never exists, a prefix such as ``stats:``: as long as the slot is moving, both nodes then refuse to
begin the script.

- ``cti:{pool}:numbers``, a zset: DNIS -> ms from which it may be leased again; for ever
- ``cti:{pool}:shared``, a zset: DNIS -> ms until which it has more than one live caller; until the latest of these
- ``cti:{pool}:leaving``, a zset: DNIS taken out with live calls -> their end + a pair's rest; until the last of these
- ``cti:{pool}:promised``, a zset: DNIS that left -> ms from which another pool may lease it; until the latest of these
- ``cti:{pool}:synced``, a string: fingerprint of the numbers in place, or ``syncing:`` and the one to reach; for ever
- ``cti:{pool}:in_place``, a string: the numbers that were in place last, as ranges, up to 64 KB; for ever
- ``cti:{pool}:stats``, a hash: counters; for ever
- ``cti:{pool}:stats:HOUR``, a hash: the counters of one hour since 1970; eight days
- ``cti:{pool}:minutes``, a hash: minute since 1970, of an hour -> how full it was, and counters; ``last`` of these; two
  hours
- ``cti:{pool}:pending``, a zset: DNIS:ANI of a call that nobody has asked for -> its end; for ever
- ``cti:{pool}:unclaimed``, a zset: DNIS -> how many of its calls in a row nobody asked for; eight days
- ``cti:{pool}:callers:DNIS``, a zset: ANI -> ms at which that lease ends; until the last end + the pair's rest
- ``cti:{pool}:call:DNIS:ANI``, a hash: value, token, leased_ms, lessee, reply, other (a near miss was counted); its TTL
- ``cti:{pool}:gone:DNIS:ANI``, a string: ms at which the call was taken, and its token, after older releases without;
  also under the ANI presented; a minute. ``released`` after these where it was ended without being handed over
- ``cti:{pool}:live:USER``, a zset: DNIS:ANI of a user's live leases -> their end; until the last end + a minute
- ``cti:{pool}:lessees``, a zset: user -> ms since when there is a ``live:USER``; eight days after a lease
- ``cti:{pool}:reply:USER:KEY``, a hash: what a POST was answered under an idempotency key; its call's end + a minute
- ``cti:{pool}:retry:USER:FINGERPRINT``, a hash: the same for a POST without a key; the pool's retry window
- ``cti:{pool}:taken:USER:KEY``, a hash: what a take was answered under an idempotency key; a minute
- ``cti:{pool}:beat``, a hash: id, nth and ms of the sign of life that the services leave; born_ms, where it was there
  before the first lease; lost_ms and loss, when calls were lost last and how; eight days
- ``cti:{pool}:lost``, a string: how calls were lost, ``empty``, ``older`` or ``ahead``; after_loss
- ``cti:{pool}:presented``, a string: the ANI at the last miss beside a live call that it is unlike; an hour
- ``cti:{pool}:tried_zset:KEY``, a zset: what ``check`` writes, here and under ``{@all}``; deleted in the same step
- ``cti:{pool}:tried_hash:KEY``, a hash: the same
- ``cti:{pool}:tried_string:KEY``, a string: the same
- ``cti:{pool}:tried_list:KEY``, a list: the same
- ``cti:{@all}:ruling``, a hash: every pool -> fingerprint of its numbers, ``@`` -> the one of all; for ever. No pool's
  name has an ``@``
- ``cti:{@all}:former``, a zset: pool no longer configured -> ms since when; for ever, but empty once they are drained
- ``cti:{@all}:format``, a hash: format, least_reader of the data, and the release that brought it; for ever
- ``cti:{@all}:services``, a zset: a service's id -> ms at which it was started; as long as one of them lives
- ``cti:{@all}:service:ID``, a hash: numbers, rules, who, told, format; asked, answered, answer of a reload; three
  ``sync_interval``, from look to look
- ``cti:{@all}:events``, a list: what happened to the services, the newest first, 200 at most; 30 days
- ``cti:{@logins}:failed``, a hash: user -> wrong passwords, ``@unknown`` for names that are no user's; for ever
- ``cti:{@logins}:minute:MINUTE``, a hash: those checked in one minute since 1970, and by bucket of addresses; two
  minutes
"""

import re

PERMANENT = re.compile(r".*:\{[^{}]+\}:(?:numbers|synced|in_place|stats|pending|ruling|former|format|failed)")
"""The keys that never expire; every other key of the service must have a TTL."""

EVERY_POOL = "@all"
"""In the place of a pool's name: the keys that all pools share."""


class Keys:
    """The key names under one prefix; a method named after a script returns its KEYS in order."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def lease(self, pool: str, user: str, key: str, *, blind: bool = False) -> list[str]:
        """KEYS of lease.lua; ``key`` is the idempotency key, or empty, and for a blind retry the request's own."""
        return self._of(
            pool,
            "numbers",
            "shared",
            "leaving",
            "pending",
            "unclaimed",
            "stats",
            f"live:{user}",
            f"{'retry' if blind else 'reply'}:{user}:{key}",
            "lost",
            "call:",
            "callers:",
            "gone:",
            "stats:",
            "lessees",
        )

    def read(self, pool: str, dnis: str) -> list[str]:
        """KEYS of read.lua."""
        return self._of(
            pool,
            "pending",
            "unclaimed",
            "stats",
            f"callers:{dnis}",
            "lost",
            f"call:{dnis}:",
            f"gone:{dnis}:",
            "stats:",
            "presented",
        )

    def take(self, pool: str, dnis: str, user: str, key: str) -> list[str]:
        """KEYS of take.lua; ``key`` is the idempotency key, or empty."""
        return self._of(
            pool,
            "numbers",
            "shared",
            "pending",
            "unclaimed",
            "stats",
            f"taken:{user}:{key}",
            f"callers:{dnis}",
            "lost",
            f"call:{dnis}:",
            f"gone:{dnis}:",
            "live:",
            "reply:",
            "stats:",
            "presented",
        )

    def release(self, pool: str) -> list[str]:
        """KEYS of release.lua."""
        return self._of(
            pool, "numbers", "shared", "pending", "stats", "callers:", "call:", "gone:", "live:", "reply:", "stats:"
        )

    def renew(self, pool: str, dnis: str) -> list[str]:
        """KEYS of renew.lua."""
        return self._of(
            pool,
            "numbers",
            "shared",
            "leaving",
            "pending",
            "stats",
            f"callers:{dnis}",
            "lost",
            f"call:{dnis}:",
            f"gone:{dnis}:",
            "live:",
            "reply:",
            "promised",
            "stats:",
            "presented",
        )

    def explain(self, pool: str, dnis: str) -> list[str]:
        """KEYS of explain.lua."""
        return self._of(pool, f"callers:{dnis}", "lost", f"call:{dnis}", f"gone:{dnis}:", "beat")

    def pool_claim(self) -> list[str]:
        """KEYS of pool_claim.lua."""
        return self._of(EVERY_POOL, "ruling", "former", "services", "service:")

    def service_look(self) -> list[str]:
        """KEYS of service_look.lua."""
        return self._of(EVERY_POOL, "services", "ruling", "former", "format", "service:")

    def data_format(self) -> list[str]:
        """KEYS of data_format.lua."""
        return self._of(EVERY_POOL, "format", "format:")

    def services(self) -> list[str]:
        """KEYS of services.lua."""
        return self._of(EVERY_POOL, "services", "service:")

    def service_leave(self) -> list[str]:
        """KEYS of service_leave.lua."""
        return self._of(EVERY_POOL, "services", "service:")

    def service_ask(self) -> list[str]:
        """KEYS of service_ask.lua."""
        return self._of(EVERY_POOL, "services", "service:")

    def service_answer(self) -> list[str]:
        """KEYS of service_answer.lua."""
        return self._of(EVERY_POOL, "services", "service:")

    def service_answers(self) -> list[str]:
        """KEYS of service_answers.lua."""
        return self._of(EVERY_POOL, "services", "service:")

    def server_info(self) -> list[str]:
        """KEYS of server_info.lua."""
        return self._of(EVERY_POOL, "services", "service:")

    def event_tell(self) -> list[str]:
        """KEYS of event_tell.lua."""
        return self._of(EVERY_POOL, "events", "events:")

    def events(self) -> list[str]:
        """KEYS of events.lua."""
        return self._of(EVERY_POOL, "events", "events:")

    def login_failed(self) -> list[str]:
        """KEYS of login_failed.lua."""
        return self._of("@logins", "failed", "minute:")

    def login_failures(self) -> list[str]:
        """KEYS of login_failures.lua."""
        return self._of("@logins", "failed", "minute:")

    def pool_sync(self, pool: str) -> list[str]:
        """KEYS of pool_sync.lua."""
        return self._of(
            pool, "numbers", "shared", "leaving", "promised", "synced", "in_place", "pending", "stats", "callers:"
        )

    def pool_ranges(self, pool: str) -> list[str]:
        """KEYS of pool_ranges.lua."""
        return self._of(pool, "synced", "in_place", "ranges:")

    def pool_beat(self, pool: str) -> list[str]:
        """KEYS of pool_beat.lua."""
        return self._of(pool, "beat", "lost", "stats", "stats:")

    def pool_rescore(self, pool: str) -> list[str]:
        """KEYS of pool_rescore.lua."""
        return self._of(
            pool, "numbers", "shared", "leaving", "promised", "pending", "callers:", "call:", "gone:", "live:"
        )

    def pool_stats(self, pool: str) -> list[str]:
        """KEYS of pool_stats.lua."""
        names = ("numbers", "shared", "leaving", "pending", "unclaimed", "stats", "stats:", "lessees", "live:")
        return self._of(pool, *names)

    def pool_leases(self, pool: str) -> list[str]:
        """KEYS of pool_leases.lua."""
        return self._of(pool, "lessees", "live:", "call:", "pending")

    def pool_hours(self, pool: str) -> list[str]:
        """KEYS of pool_hours.lua."""
        return self._of(pool, "stats", "stats:")

    def pool_minute(self, pool: str) -> list[str]:
        """KEYS of pool_minute.lua."""
        return self._of(pool, "numbers", "stats", "minutes", "minutes:")

    def pool_minutes(self, pool: str) -> list[str]:
        """KEYS of pool_minutes.lua."""
        return self._of(pool, "minutes", "beat", "minutes:")

    def try_out(self, pool: str, name: str) -> list[str]:
        """KEYS of try_out.lua; ``name`` tells this trial from others."""
        return self._of(
            pool, f"tried_zset:{name}", f"tried_hash:{name}", f"tried_string:{name}", f"tried_list:{name}", "tried:"
        )

    def _of(self, pool: str, *names: str) -> list[str]:
        head = f"{self._prefix}:{{{pool}}}:"
        return [head + name for name in names]
