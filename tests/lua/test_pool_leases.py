"""The live leases of a pool, page by page, and who holds them."""

from collections.abc import Callable
from itertools import count

import pytest
from redis import Redis

from cticache.data.replies import FIRST_PAGE, Cursor, Leased
from cticache.data.store import Store, calls
from cticache.numbering.pool import Pool
from kit.aging import age, everything, now_ms
from kit.samples import at

MakePool = Callable[..., Pool]
LESSEES = "cti:{system-y}:lessees"


def pages(
    store: Store,
    pool: Pool,
    *,
    limit: int,
    between: Callable[[], object] = lambda: None,
    dnis: str = "",
    user: str = "",
) -> list[Leased]:
    """What a walk through all pages finds; ``between`` is done before each but the first."""
    found: list[Leased] = []
    after: Cursor | None = FIRST_PAGE
    while after:
        page = store.pool_leases(pool, after=after, limit=limit, dnis=dnis, user=user)
        found += page.leases
        after = page.after
        between()
    return found


def lease(store: Store, pool: Pool, ani: str, user: str = "x", ttl_ms: int = 60_000) -> str:
    return store.lease(pool, ani, "secret", user, ttl_ms).token


def test_a_page_tells_who_leased_what_in_the_order_of_the_ends(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    late, soon, withheld = lease(store, pool, "1", "x", 60_000), lease(store, pool, "2", "y"), lease(store, pool, "")
    store.renew(at(pool, "101"), "2", 30_000)
    store.read(at(pool, "100"), "1", "z")
    before = everything(client)
    page = store.pool_leases(pool)
    assert everything(client) == before
    assert [(each.dnis, each.ani, each.user, each.token, each.asked) for each in page.leases] == [
        ("101", "2", "y", soon, False),
        ("100", "1", "x", late, True),
        ("102", "", "x", withheld, False),
    ]
    assert page.after is None
    for each in page.leases:
        assert abs(each.leased_ms - now_ms(client)) < 2_000
        assert each.end_ms - page.now_ms <= 60_000
    assert "secret" not in repr(page)


@pytest.mark.parametrize(("exhausted", "more"), [("share", {}), ("fallback", {"fallback": "900"})])
def test_a_lease_beside_others_is_listed_too(
    store: Store, new_pool: MakePool, exhausted: str, more: dict[str, str]
) -> None:
    pool = new_pool("100", exhausted=exhausted, **more)
    tokens = {lease(store, pool, "1"), lease(store, pool, "2"), lease(store, pool, "3", "m")}
    assert {each.token for each in store.pool_leases(pool).leases} == tokens


def test_a_page_is_of_one_user_or_one_number_or_of_those_that_have_lasted(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-104")
    old = lease(store, pool, "1")
    age(client, 20_000)
    new = lease(store, pool, "2", "y")

    def tokens(**asked: object) -> list[str]:
        return [each.token for each in store.pool_leases(pool, **asked).leases]  # type: ignore[arg-type]

    assert tokens() == [old, new]
    assert tokens(user="y") == [new]
    assert tokens(user="nobody") == []
    assert tokens(dnis="100") == [old]
    assert tokens(dnis="10") == []
    assert tokens(older_s=19) == [old]
    assert tokens(older_s=22) == []


def test_a_lease_of_before_the_clock_was_set_back_is_listed_as_one_that_began_just_now(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-104")
    token = lease(store, pool, "1")
    age(client, -3_600_000)
    assert store.read(at(pool, "100"), "1", "y")
    assert [each.token for each in store.pool_leases(pool).leases] == [token]
    assert [each.token for each in store.pool_leases(pool, user="x", dnis="100").leases] == [token]
    assert store.pool_leases(pool, older_s=1).leases == []


def test_a_lease_that_is_over_is_not_listed(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    lease(store, pool, "1")
    lease(store, pool, "2", ttl_ms=10_000)
    store.take(at(pool, "100"), "1", "y")
    age(client, 10_001)
    assert store.pool_leases(pool).leases == []


def test_what_lives_through_a_walk_is_found_once_whatever_else_happens(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("1000-1999", exhausted="reject")
    number = count(1)
    live: dict[str, str] = {}
    for _ in range(300):
        ani = str(next(number))
        live[ani] = lease(store, pool, ani, f"user-{int(ani) % 7}", 60_000 + 100 * (int(ani) * 37 % 300))
    stays = {token for ani, token in live.items() if int(ani) % 3}
    going = iter([each for each in store.pool_leases(pool, limit=200).leases if each.token not in stays])

    def meanwhile() -> None:
        for _ in range(3):
            if gone := next(going, None):
                store.take(at(pool, gone.dnis), gone.ani, "y")
        lease(store, pool, str(next(number)), "user-1", 61_000)
        lease(store, pool, str(next(number)), "another", 300_000)

    found = [each.token for each in pages(store, pool, limit=7, between=meanwhile)]
    assert len(found) == len(set(found))
    assert stays <= set(found)


def test_leases_that_end_in_the_same_ms_are_each_found_once(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("8,9,10-19,100-199", max_callers=20)
    anis = map(str, count(1))
    tokens = {lease(store, pool, next(anis), user) for user in "xyz" for _ in range(100)}
    end = now_ms(client) + 60_000
    for user in "xyz":
        live = f"cti:{{system-y}}:live:{user}"
        client.zadd(live, dict.fromkeys(client.zrange(live, 0, -1), end))
    found = pages(store, pool, limit=3)
    assert [(each.dnis + ":" + each.ani) for each in found] == sorted(each.dnis + ":" + each.ani for each in found)
    assert sorted(each.token for each in found) == sorted(tokens)


def test_callers_who_share_one_number_to_the_same_ms_are_on_one_page(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", max_callers=1000)
    tokens = {lease(store, pool, str(ani), "x" if ani % 2 else "y") for ani in range(1, 601)}
    end = now_ms(client) + 60_000
    for user in "xy":
        live = f"cti:{{system-y}}:live:{user}"
        client.zadd(live, dict.fromkeys(client.zrange(live, 0, -1), end))
    page = store.pool_leases(pool, limit=2)
    assert {each.token for each in page.leases} == tokens
    assert page.after is None


def test_a_page_that_finds_nothing_after_its_share_of_work_says_where_to_go_on(
    store: Store, new_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_MOST_LOOKED", 10)
    pool = new_pool("100-149")
    tokens = [lease(store, pool, str(ani)) for ani in range(30)]
    page = store.pool_leases(pool, dnis="129")
    assert page.leases == []
    assert page.after
    assert [each.token for each in pages(store, pool, limit=5, dnis="129")] == tokens[29:]


def test_a_page_tells_of_nobody_beyond_what_it_has_seen_of_everybody(
    store: Store, new_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_MOST_LOOKED", 10)
    pool = new_pool("100-199")
    soon = [lease(store, pool, str(ani), "many", 30_000) for ani in range(20)]
    late = [lease(store, pool, f"9{ani}", f"user-{ani}", 60_000) for ani in range(9)]
    assert [each.token for each in pages(store, pool, limit=200)] == soon + late


def test_two_pools_do_not_list_each_others_leases(store: Store, new_pool: MakePool) -> None:
    pool, other = new_pool("100"), new_pool("200", name="other")
    lease(store, pool, "1")
    assert store.pool_leases(other).leases == []


def test_what_another_user_has_by_now_is_listed_once(client: Redis, store: Store, new_pool: MakePool) -> None:
    """A clock that was set back leaves a lease that is over listed, until the end that it had."""
    pool = new_pool("100")
    lease(store, pool, "1", "x")
    client.zadd("cti:{system-y}:live:y", {"100:1": now_ms(client) + 60_000})
    client.expire("cti:{system-y}:live:y", 60)
    client.zadd(LESSEES, {"y": 1})
    assert [each.user for each in store.pool_leases(pool).leases] == ["x"]


def test_who_holds_leases_is_told_with_the_figures(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    lease(store, pool, "1", "x")
    lease(store, pool, "2", "y", ttl_ms=200_000)
    lease(store, pool, "3", "y", ttl_ms=200_000)
    assert store.pool_stats([pool])[0].live == {"x": 1, "y": 2}
    age(client, 60_000)
    assert store.pool_stats([pool])[0].live == {"y": 2}
    age(client, 60_001)
    assert store.pool_stats([pool])[0].live == {"y": 2}
    assert client.zrange(LESSEES, 0, -1) == ["y"]  # whoever holds nothing any more is dropped
    lease(store, pool, "4", "x")
    assert store.pool_stats([pool])[0].live == {"y": 2, "x": 1}


def test_a_list_of_users_that_was_lost_is_there_again_within_a_minute(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-104")
    lease(store, pool, "1", ttl_ms=300_000)
    client.delete(LESSEES)
    age(client, 61_000)
    lease(store, pool, "2", ttl_ms=300_000)
    assert [each.ani for each in store.pool_leases(pool).leases] == ["1", "2"]


def test_leases_that_are_over_do_not_pile_up(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-199", cooldown_ms=0)
    for ani in range(20):
        lease(store, pool, str(ani), ttl_ms=5_000)
        age(client, 10_000)
    assert client.zcard("cti:{system-y}:live:x") <= 8
    age(client, 70_000)
    assert not client.exists("cti:{system-y}:live:x")
