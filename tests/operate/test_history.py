"""What was done in the last minutes is made from what was kept of them."""

from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.counters import BY_MINUTE
from cticache.data.replies import LastMinutes, Minute, PoolStats
from cticache.data.store import Store
from cticache.numbering.pool import Pool
from cticache.operate.history import READ_BACK, Done, by_minute, lately, told
from kit.aging import minutes_pass
from kit.samples import at

NOW = 30_000_000
"""In minutes since 1970."""


def kept(*leased: int | None, **more: int) -> LastMinutes:
    """One for each of the last minutes, the one that runs included, 5 s after it began; None: it was not kept."""
    first = NOW - len(leased) + 1
    return LastMinutes(
        NOW * 60_000 + 35_000,
        [
            Minute((first + minute) * 60_000 + 5_000, 9, 9, 0, len(BY_MINUTE), {"leased": count, **more})
            for minute, count in enumerate(leased)
            if count is not None
        ],
    )


def stats(**counts: int) -> PoolStats:
    return PoolStats.of([9, 9, 0, 0, 0, 0, 0, 0], [str(text) for pair in counts.items() for text in pair], [], [])


def leased(last: LastMinutes, minutes: int) -> list[int | None]:
    return [done and done.of("leased") for done in by_minute(last, minutes)]


def test_a_minute_is_the_difference_of_two() -> None:
    assert leased(kept(1, 3, 3, 10), 3) == [2, 0, 7]


def test_a_minute_that_was_not_kept_makes_two_unknown() -> None:
    assert leased(kept(1, None, 3, 10), 4) == [None, None, None, 7]


def test_a_counter_that_another_version_does_not_know_is_not_done_in_a_minute() -> None:
    last = kept(1, 2, 3)
    last.kept[1] = last.kept[1]._replace(kinds=len(BY_MINUTE) - 1)
    assert leased(last, 2) == [None, None]
    assert lately(last, stats(leased=3)).of("leased") == 0


def test_a_counter_that_fell_makes_a_minute_unknown_and_never_negative() -> None:
    assert leased(kept(5, 9, 2, 4), 3) == [4, None, 2]


def test_what_was_done_before_the_first_look_at_an_empty_redis_is_known() -> None:
    last = kept(3, 4)._replace(born_ms=(NOW - 1) * 60_000 + 2_000)
    done = lately(last, stats(leased=5))
    assert (done.of("leased"), done.ms, done.is_all) == (5, 93_000, True)
    assert leased(last, 2) == [None, 4]
    assert leased(last._replace(born_ms=NOW * 60_000 - 61_000), 2) == [3, 1]


@pytest.mark.parametrize("born_s", [-3600, 36], ids=["long ago", "after a clock that was set back"])
def test_a_birth_that_is_not_of_these_minutes_tells_nothing(born_s: int) -> None:
    last = kept(3, 4)._replace(born_ms=NOW * 60_000 + 1_000 * born_s)
    done = lately(last, stats(leased=5))
    assert (done.of("leased"), done.is_all) == (2, False)
    assert leased(last, 2) == [None, 1]


def test_that_redis_came_back_empty_was_not_done_since() -> None:
    last = kept(3, losses=1)._replace(born_ms=NOW * 60_000 + 2_000)
    assert lately(last, stats(leased=3, losses=1)).counts == {"leased": 3}
    assert lately(last, stats(leased=3, losses=2)).counts == {"leased": 3, "losses": 1}


def test_less_than_a_minute_is_not_known_unless_it_is_all() -> None:
    assert told(Done({"leased": 1}, 59_999)) is None
    assert (told(Done({"leased": 1}, 60_000)) or {})["leased"] == 1
    assert (told(Done({"leased": 1}, 100, is_all=True)) or {})["seconds"] == 0.1


def test_an_hour_of_nothing_is_unknown() -> None:
    assert by_minute(LastMinutes(NOW * 60_000, [])) == [None] * 60


def test_the_sum_goes_up_to_now() -> None:
    done = lately(kept(1, 3, 3, 10), stats(leased=12))
    assert (done.of("leased"), done.ms) == (11, 3 * 60_000 + 30_000)
    assert done.a_minute("leased") == pytest.approx(11 / 3.5)


def test_the_sum_is_of_ten_minutes_and_at_most_one_more() -> None:
    done = lately(kept(*range(0, 2000, 100)), stats(leased=1900))
    assert 600_000 <= done.ms < 660_000
    assert done.of("leased") == 1000


def test_the_sum_leaves_out_what_is_not_known() -> None:
    assert lately(kept(5, 9, 2, 4), stats(leased=5)).of("leased") == 4 + 2 + 1
    assert lately(kept(5, 9), stats(leased=1)) == Done({"leased": 4}, 60_000)
    assert lately(LastMinutes(NOW * 60_000, []), stats(leased=7)) == Done({}, 0)


def test_a_time_without_a_service_counts_if_it_is_within() -> None:
    assert lately(kept(1, None, None, 10), stats(leased=10)).of("leased") == 9
    assert lately(kept(1, *[None] * 30, 10), stats(leased=12)).of("leased") == 2


def test_two_times_in_disorder_tell_nothing() -> None:
    last = kept(1, 3)
    assert lately(last._replace(now_ms=last.kept[-1].at_ms - 1), stats(leased=9)).of("leased") == 2


def test_nothing_known_is_no_rate() -> None:
    assert Done({}, 0).a_minute("leased") == 0.0


def test_on_a_real_server_it_is_what_was_done(client: Redis, store: Store, new_pool: Callable[..., Pool]) -> None:
    pool = new_pool("100-104")
    for ani in ("1", "2", "3"):
        store.pool_minute([pool])
        store.lease(pool, ani, "1", "x", 60_000)
        minutes_pass(client)
    store.take(at(pool, "100"), "1", "y")
    (last,), (figures,) = store.pool_minutes([pool], READ_BACK), store.pool_stats([pool])
    assert lately(last, figures).counts == {"leased": 3, "taken": 1, "match_exact": 1}
