"""A call is found by the token of its lease, whatever became of its ANI: that very call, or none."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from cticache.data.heartbeat import Heartbeat
from cticache.data.replies import Held, Lease
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import Ambiguous, Gone, KeyReused, Refusal, Stale
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place, Pools
from kit.aging import age, dumped, everything, now_ms, set_clock
from kit.model import outcome
from kit.older import hasty
from kit.samples import at, make_pool

MakePool = Callable[..., Pool]
A, A_AS_Y_SEES_IT, SAME_TAIL, OTHER, PBX = "5551234567", "15551234567", "9991234567", "5557654321", "8005550000"
PRESENTED = [A, "", PBX, A_AS_Y_SEES_IT]
RULES = ["exact", "suffix", "sole"]


def lease(store: Store, pool: Pool, ani: str, ttl_ms: int = 60_000, **more: Any) -> Lease:
    return store.lease(pool, ani, f'"of {ani}"', "x", ttl_ms, **more)


def take(store: Store, place: Place, token: str, **more: Any) -> Held | Refusal | None:
    found: Held | Refusal | None = outcome(lambda: store.take(place, PBX, "y", token=token, **more))
    return found


def read(store: Store, place: Place, token: str, **more: Any) -> Held | Refusal | None:
    found: Held | Refusal | None = outcome(lambda: store.read(place, PBX, "y", token=token, **more))
    return found


def match_uui(store: Store, pool: Pool) -> int:
    return store.pool_stats([pool])[0].match_uui_total


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ani", PRESENTED)
def test_it_is_found_under_any_ani_and_rule(store: Store, new_pool: MakePool, rule: str, ani: str) -> None:
    pool = new_pool("100")
    leased = [lease(store, pool, each) for each in (A, OTHER, SAME_TAIL)]
    place = at(pool, "100")._replace(rule=rule)  # type: ignore[arg-type]
    for each, of in zip(leased, (A, OTHER, SAME_TAIL), strict=True):
        for ask in (store.read, store.take):
            held = ask(place, ani, "y", token=each.token)
            assert held
            assert (held.value, held.token, held.grade) == (f'"of {of}"', each.token, "uui")
            assert 59_000 < held.left_ms <= 60_000
    assert match_uui(store, pool) == 3


def test_a_withheld_caller_is_found(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, "")
    assert read(store, at(pool, "100"), leased.token).value == '"of "'  # type: ignore[union-attr]
    assert take(store, at(pool, "100"), leased.token).grade == "uui"  # type: ignore[union-attr]
    assert isinstance(take(store, at(pool, "100"), leased.token), Gone)


@pytest.mark.parametrize("ani", [A, PBX, ""])
def test_another_token_finds_nothing_though_the_ani_would(store: Store, new_pool: MakePool, ani: str) -> None:
    pool = new_pool("100-101")
    token, on_101 = (lease(store, pool, A).token for _ in range(2))
    others = [on_101, "none", "A" * 16, "%w+", ".", token[:-1], token[:-1] + "!", token + "A", token.swapcase(), " "]
    for other in others:
        assert store.read(at(pool, "100"), ani, "y", token=other) is None
        assert store.take(at(pool, "100"), ani, "y", token=other) is None
    counts = store.pool_stats([pool])[0]
    assert (counts.missed_total, counts.other_live_total) == (2 * len(others), 0)  # that says nothing of the ANI
    assert store.take(at(pool, "100"), A, "y")
    for other in others:
        assert store.take(at(pool, "100"), ani, "y", token=other) is None


@pytest.mark.parametrize(("ttl_ms", "others"), [(60_000, []), (20_000, [OTHER, SAME_TAIL]), (90_000, [OTHER])])
def test_a_take_leaves_what_a_take_by_the_calls_own_ani_leaves(
    client: Redis, store: Store, new_pool: MakePool, ttl_ms: int, others: list[str]
) -> None:
    left = []
    for by_token in (False, True):
        client.flushall()
        pool = new_pool("100")
        token = lease(store, pool, A, ttl_ms, max_live=9, key="k").token
        for other in others:
            lease(store, pool, other, max_live=9)
        assert store.take(at(pool, "100"), PBX if by_token else A, "y", token=token if by_token else "")
        left.append(_rounded(everything(client), now_ms(client), token))
    by_ani, by_token_too = left
    for kept in left:
        for counted in [key for key in kept if ":stats" in key]:
            kept[counted].pop("match_exact", kept[counted].pop("match_uui", None))
            assert not {"match_exact", "match_uui"} & kept[counted].keys()
    assert by_token_too == by_ani


def _rounded(stored: dict[str, Any], now: int, token: str) -> dict[str, Any]:
    """Times as seconds from now, the token by that name, and no others."""

    def as_told(held: Any) -> Any:
        if isinstance(held, dict):
            return {name: as_told(text) for name, text in held.items() if name not in ("token", "held_ms", "ms", "id")}
        if isinstance(held, list | tuple):
            return [as_told(each) for each in held]
        if isinstance(held, str) and held.endswith(token):
            return "token", as_told(held.removesuffix(token).strip())
        try:
            return round((float(held) - now) / 5_000) if float(held) > 1e12 else float(held)
        except ValueError:
            return held

    return {key: as_told(held) for key, held in stored.items() if ":stats:" not in key}


@pytest.mark.parametrize("ani", [A, A_AS_Y_SEES_IT])
def test_a_call_that_was_taken_by_its_ani_is_gone_by_its_token_and_the_other_way_round(
    client: Redis, store: Store, new_pool: MakePool, ani: str
) -> None:
    pool = new_pool("100", match="suffix")
    place = at(pool, "100")
    first = lease(store, pool, A)
    second = lease(store, pool, OTHER)
    assert store.take(place, ani, "y")
    for ask in (take, read):
        gone = ask(store, place, first.token)
        assert isinstance(gone, Gone)
        assert str(gone) == str(outcome(lambda: store.read(place, ani, "y")))
        assert isinstance(read(store, place, second.token), Held)
    assert take(store, place, second.token)
    assert isinstance(outcome(lambda: store.take(place, OTHER, "y")), Gone)
    assert store.pool_stats([pool])[0].gone_total == 5
    age(client, 60_000)
    assert take(store, place, first.token) is None
    assert take(store, place, second.token) is None


def test_what_an_older_release_has_left_of_a_take_tells_no_token(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, A)
    store.take(at(pool, "100"), A, "y")
    key = f"cti:{{system-y}}:gone:100:{A}"
    client.set(key, client.get(key).split()[0], keepttl=True)
    assert take(store, at(pool, "100"), leased.token) is None
    assert isinstance(outcome(lambda: store.take(at(pool, "100"), A, "y")), Gone)
    assert store.explain(at(pool, "100"), A).grade == "gone"


def test_the_next_call_of_the_ani_on_the_number_never_answers_an_old_token(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    old = lease(store, pool, A)
    store.take(at(pool, "100"), A, "y")
    client.zadd("cti:{system-y}:numbers", {"100": 0})
    new = lease(store, hasty(pool), A)
    assert take(store, at(pool, "100"), old.token) is None
    assert take(store, at(pool, "100"), new.token).token == new.token  # type: ignore[union-attr]
    assert take(store, at(pool, "100"), old.token) is None


def test_a_call_that_ended_is_not_found(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, A)
    age(client, 60_000)
    assert read(store, at(pool, "100"), leased.token) is None
    assert take(store, at(pool, "100"), leased.token) is None


def test_a_renewed_call_keeps_its_token(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, A)
    age(client, 40_000)
    assert store.renew(at(pool, "100"), A, 60_000, '"new"').token == leased.token  # type: ignore[union-attr]
    age(client, 40_000)
    assert take(store, at(pool, "100"), leased.token).value == '"new"'  # type: ignore[union-attr]


# Idempotency, If-Match, and who peeks


def test_a_take_is_repeatable_under_its_key_and_the_key_is_of_that_token_alone(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    place = at(pool, "100")
    first, second = lease(store, pool, A), lease(store, pool, OTHER)
    held = take(store, place, first.token, key="k")
    again = take(store, place, first.token, key="k")
    assert isinstance(held, Held)
    assert again == held._replace(left_ms=0, replayed=True)
    for ani in (A, OTHER, "", PBX):
        assert store.take(place, ani, "y", token=first.token, key="k") == again
        assert isinstance(outcome(lambda ani=ani: store.take(place, ani, "y", key="k")), KeyReused)
    assert isinstance(take(store, place, second.token, key="k"), KeyReused)
    assert isinstance(take(store, place, second.token), Held)
    assert match_uui(store, pool) == 2


def test_the_key_of_a_take_by_an_ani_is_not_of_a_token(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, A)
    assert store.take(at(pool, "100"), A, "y", key="k")
    assert isinstance(outcome(lambda: store.take(at(pool, "100"), A, "y", token=leased.token, key="k")), KeyReused)


def test_if_match_counts_as_well(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, A)
    assert isinstance(take(store, at(pool, "100"), leased.token, if_match='"another"'), Stale)
    assert isinstance(take(store, at(pool, "100"), leased.token, if_match=f'"{leased.token}"'), Held)


def test_who_peeks_by_a_token_leaves_no_trace(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    place = at(pool, "100")
    live, taken = lease(store, pool, A), lease(store, pool, OTHER)
    take(store, place, taken.token)
    before = dumped(client)
    assert isinstance(read(store, place, live.token, peek=True), Held)
    assert isinstance(read(store, place, taken.token, peek=True), Gone)
    assert read(store, place, "none", peek=True) is None
    assert dumped(client) == before


def test_the_lessees_own_read_is_no_pick_up_and_the_first_of_another_is_one(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, A)
    assert store.read(at(pool, "100"), "", "x", token=leased.token)
    assert match_uui(store, pool) == 0
    for _ in range(2):
        assert store.read(at(pool, "100"), "", "y", token=leased.token)
    assert match_uui(store, pool) == 1


# Losses, the clock, and many callers


def test_no_care_is_taken_after_a_loss(client: Redis, store: Store) -> None:
    pool = make_pool("100")
    heartbeat = Heartbeat(store, Pools([pool]), lambda *_said: None)
    heartbeat.look()
    leased = lease(store, _in_place(store, pool), "")
    client.set("cti:{system-y}:lost", "older", px=60_000)
    place = at(replace(pool, match="sole"), "100")
    assert store.read(place, "", "y") is None
    assert take(store, place, leased.token).grade == "uui"  # type: ignore[union-attr]


def _in_place(store: Store, pool: Pool) -> Pool:
    sync(store, Pools([pool]), take_over=True)
    return pool


def test_a_taken_call_is_gone_by_its_token_after_the_clock_was_set_back(client: Redis, store: Store) -> None:
    pool = _in_place(store, make_pool("100"))
    heartbeat = Heartbeat(store, Pools([pool]), lambda *_said: None)
    heartbeat.look()
    taken, live = lease(store, pool, A), lease(store, pool, OTHER)
    take(store, at(pool, "100"), taken.token)
    set_clock(client, store, -3_600_000)
    heartbeat.look()
    gone = take(store, at(pool, "100"), taken.token)
    assert isinstance(gone, Gone)
    assert int(client.get(f"cti:{{system-y}}:gone:100:{A}").split()[0]) <= now_ms(client)
    assert isinstance(take(store, at(pool, "100"), live.token), Held)


def test_of_more_callers_than_are_looked_at_the_live_ones_come_first(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    leased = lease(store, pool, A)
    now = now_ms(client)
    client.zadd("cti:{system-y}:callers:100", {f"9{at:04}": now - at for at in range(1_500)})
    assert take(store, at(pool, "100"), leased.token, if_match='"x"').status == 412  # type: ignore[union-attr]
    client.zadd("cti:{system-y}:callers:100", {f"8{at:04}": now + 90_000 for at in range(1_000)})
    assert take(store, at(pool, "100"), leased.token) is None


def test_two_that_no_ani_tells_apart_are_told_apart(store: Store, new_pool: MakePool) -> None:
    exact = new_pool("100")
    both = [lease(store, exact, ani) for ani in (A, SAME_TAIL)]
    place = at(replace(exact, match="sole"), "100")
    assert isinstance(outcome(lambda: store.take(place, A_AS_Y_SEES_IT, "y")), Ambiguous)
    assert [take(store, place, each.token).token for each in both] == [each.token for each in both]  # type: ignore[union-attr]
