"""Leaves in Redis what an older release may have left there, and this one does not write."""

from dataclasses import replace

from redis import Redis

from cticache.numbering.pool import Pool

STAND_IN = "w"
"""An ANI to withhold: it shares no digit with any other."""


def withhold(client: Redis, dnis: str, ani: str = STAND_IN, pool: str = "system-y") -> None:
    """Make this live call a withheld caller's, whoever else is on the number: callers were once put beside those.

    It must have been leased with no idempotency key, and in no retry window.
    """
    prefix = f"cti:{{{pool}}}:"
    call, of_withheld = f"{dnis}:{ani}", f"{dnis}:"
    client.rename(f"{prefix}call:{call}", f"{prefix}call:{of_withheld}")
    client.delete(f"{prefix}gone:{of_withheld}")
    lessee = client.hget(f"{prefix}call:{of_withheld}", "lessee")
    for key, old, new in (
        (f"callers:{dnis}", ani, ""),
        ("pending", call, of_withheld),
        (f"live:{lessee}", call, of_withheld),
    ):
        end = client.zscore(prefix + key, old)
        if end is not None:
            client.zadd(prefix + key, {new: end})  # before the other goes: the last member takes the key's end with it
            client.zrem(prefix + key, old)


def hasty(pool: Pool) -> Pool:
    """The same pool with no rest at all: it lends an ANI the number of that ANI's last call at once.

    Releases before this one did so after the cool-down, and so does a service whose `remember` is shorter.
    """
    return replace(pool, cooldown_ms=0, remember_ms=0)
