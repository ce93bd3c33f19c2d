"""Four processes at once, and thousands of live calls: nobody ever gets what is another's, and nothing is lost."""

import multiprocessing
import multiprocessing.pool
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from random import Random

import pytest
from redis import Redis

from cticache.data.replies import Lease
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import Ambiguous
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit import soak
from kit.aging import age
from kit.model import outcome, same_tail
from kit.samples import at

MakePool = Callable[..., Pool]
PROCESSES = 4


@pytest.fixture(scope="module")
def processes() -> Iterator[multiprocessing.pool.Pool]:
    """The same for each way to work: what takes them long is to start."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as started:
        yield started


@pytest.mark.parametrize("work", [soak.work, soak.work_in_batches], ids=["one by one", "in batches"])
def test_four_processes_at_once_are_answered_as_if_one_after_the_other(
    client: Redis,
    store: Store,
    redis_url: str,
    processes: multiprocessing.pool.Pool,
    request: pytest.FixtureRequest,
    *,
    tell: Callable[[str], None],
    long: bool,
    work: Callable[[str, int, int], list[soak.Entry]],
) -> None:
    operations = 200_000 if long else 2_400
    sync(store, Pools(soak.POOLS.values()), take_over=True)
    began = time.monotonic()
    jobs = [(redis_url, seed, operations // PROCESSES) for seed in range(PROCESSES)]
    log = [entry for entries in processes.starmap(work, jobs, chunksize=1) for entry in entries]
    seconds = time.monotonic() - began
    found = soak.faults(log)
    answers = Counter(f"{entry.what} {'replayed' if entry.replayed else entry.answer}" for entry in log)
    how = request.node.callspec.id
    tell(f"soak: {len(log):,} operations from {PROCESSES} processes {how} in {seconds:.0f} s, {len(found)} violations")
    tell(f"soak: {', '.join(f'{answer} {count:,}' for answer, count in sorted(answers.items()))}")
    assert not found[:10]
    assert len(log) == operations
    for pool, figures in zip(soak.POOLS.values(), store.pool_stats(list(soak.POOLS.values())), strict=True):
        right = soak.counted(log)[pool.name]
        assert {name: getattr(figures, f"{name}_total") for name in right} == right
    _check_whole(client, store)


def _check_whole(client: Redis, store: Store) -> None:
    """When all calls have been taken and time has passed, every number is free and nothing of them is left."""
    for key in client.keys("cti:*:call:*"):
        _, tag, _, dnis, ani = key.split(":")
        place = at(soak.POOLS[tag.strip("{}")], dnis)
        outcome(lambda place=place, ani=ani: store.take(place, ani, "y"))
    assert not client.keys("cti:*:call:*")
    age(client, 60_000)
    for figures in store.pool_stats(list(soak.POOLS.values())):
        assert figures.free == figures.size > 0
        assert (figures.shared, figures.leaving) == (0, 0)
    age(client, 60_000)  # the lists of who holds what live a minute longer than the calls on them
    left = {key.split(":")[2] for key in client.keys("cti:*")}
    assert left <= {"numbers", "ruling", "synced", "in_place", "stats", "unclaimed", "presented", "lessees"}


def _anis(dice: Random, amount: int) -> list[str]:
    """Different ones, many of which end alike; some have few digits, some are withheld."""
    tails = [f"{dice.randrange(10**4):04d}" for _ in range(amount // 3)]
    made = {dice.choice(["", "1", "44", "001", "555"]) + dice.choice(tails) for _ in range(2 * amount)}
    return [*dice.sample(sorted(made), amount - 50), *(str(ani) for ani in range(49)), ""]


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_of_thousands_of_live_calls_none_is_found_by_another_callers_number_where_two_fit(
    client: Redis, store: Store, new_pool: MakePool, match: str, long: bool
) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    dice = Random(seed)
    anis, leases, asked = (2_000, 3_000, 40_000) if long else (600, 700, 800)
    pool = new_pool("100-105", max_callers=1_000, match=match, match_digits=4, share_scan=2)
    live: dict[str, dict[str, str]] = defaultdict(dict)
    for ani in dice.choices(_anis(dice, anis), k=leases):
        leased = outcome(lambda ani=ani: store.lease(pool, ani, f'"{ani}"', "x", 3_600_000))
        if isinstance(leased, Lease):
            assert not _clash(ani, live[leased.dnis], pool)
            live[leased.dnis][ani] = f'"{ani}"'
    assert sum(map(len, live.values())) > 2 * leases // 3
    seen: Counter[str] = Counter()
    for _ in range(asked):
        dnis = dice.choice(sorted(live))
        ani = dice.choice(list(live[dice.choice(sorted(live))]))
        presented = dice.choice([ani, "1" + ani, "0044" + ani, ani[1:], ani[-4:], ani[-3:], ani + "0", "", "9"])
        rule = dice.choice(["exact", "suffix", "sole"])
        right = _right(presented, live[dnis], rule)
        seen[right or "none"] += 1
        try:
            held = store.read(at(pool, dnis)._replace(rule=rule), presented, "y")
        except Ambiguous:
            assert right == "ambiguous"
        else:
            assert (held.value if held else None) == right
    assert seen["ambiguous"] > asked // 20
    assert seen["none"] > asked // 20


def _clash(ani: str, others: dict[str, str], pool: Pool) -> bool:
    tail = pool.match == "suffix"
    return any(other == ani or (tail and same_tail(other, ani, 4)) for other in others)


def _right(presented: str, live: dict[str, str], rule: str) -> str | None:
    """The value of the only call that fits; 'ambiguous' where two do, None where none does."""
    tails = [ani for ani in live if ani != presented and rule != "exact" and same_tail(ani, presented, 4)]
    if presented in live:
        return "ambiguous" if tails else live[presented]
    fits = tails or (list(live) if rule == "sole" else [])
    return "ambiguous" if len(fits) > 1 else live[fits[0]] if fits else None
