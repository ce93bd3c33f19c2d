"""Whose call is meant: every operation finds the same one, and none is ever guessed."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from redis import Redis

from cticache.data.replies import Held
from cticache.data.store import Store
from cticache.errors import Ambiguous, Gone, PoolExhausted
from cticache.numbering.pool import MOST_CALLERS, Pool
from kit.aging import age, but_counts, everything, now_ms, on_the_second
from kit.older import STAND_IN, withhold
from kit.samples import at

MakePool = Callable[..., Pool]

A = "5551234567"
A_AS_Y_SEES_IT = "15551234567"
SAME_TAIL = "9991234567"
OTHER = "5557654321"
PBX = "8005550000"
REST_S = 60

FOUND = {
    "exact: the very ANI": ("exact", 7, [A], A, "exact", A),
    "exact: the withheld one": ("exact", 7, [""], "", "exact", ""),
    "exact: no tail is looked at": ("exact", 7, [A, SAME_TAIL], A, "exact", A),
    "suffix: the very ANI": ("suffix", 7, [A], A, "exact", A),
    "suffix: the very ANI beside another tail": ("suffix", 7, [A, OTHER], A, "exact", A),
    "suffix: more before the tail": ("suffix", 7, [A], A_AS_Y_SEES_IT, "suffix", A),
    "suffix: less before the tail": ("suffix", 7, [A_AS_Y_SEES_IT], A, "suffix", A_AS_Y_SEES_IT),
    "suffix: another area": ("suffix", 7, [A], SAME_TAIL, "suffix", A),
    "suffix: beside another tail": ("suffix", 7, [OTHER, A], A_AS_Y_SEES_IT, "suffix", A),
    "suffix: beside a withheld one": ("suffix", 7, ["", A], A_AS_Y_SEES_IT, "suffix", A),
    "suffix: just enough digits presented": ("suffix", 7, [A], A[-7:], "suffix", A),
    "suffix: just enough digits kept": ("suffix", 7, [A[-7:]], A, "suffix", A[-7:]),
    "suffix: ten digits": ("suffix", 10, [A], A_AS_Y_SEES_IT, "suffix", A),
    "suffix: one digit": ("suffix", 1, ["1237", "8"], "7", "suffix", "1237"),
    "suffix: less before the tail, and a plus": ("suffix", 7, [f"+{A}"], A[-7:], "suffix", f"+{A}"),
    "suffix: as many digits as the tail, and a plus": ("suffix", 7, [f"+{A[-7:]}"], A, "suffix", f"+{A[-7:]}"),
    "suffix: a short ANI is still found whole": ("suffix", 7, ["234567", A], "234567", "exact", "234567"),
    "suffix: a withheld one is still found whole": ("suffix", 7, ["", A], "", "exact", ""),
    "sole: the very ANI": ("sole", 7, [A], A, "exact", A),
    "sole: the very ANI beside another": ("sole", 7, [A, OTHER], A, "exact", A),
    "sole: the tail comes first": ("sole", 7, [A], A_AS_Y_SEES_IT, "suffix", A),
    "sole: the tail beside another": ("sole", 7, [OTHER, A], A_AS_Y_SEES_IT, "suffix", A),
    "sole: the PBX's own number": ("sole", 7, [A], PBX, "sole", A),
    "sole: a short ANI presented": ("sole", 7, [A], "12", "sole", A),
    "sole: withheld on the way": ("sole", 7, [A], "", "sole", A),
    "sole: withheld from the start": ("sole", 7, [""], PBX, "sole", ""),
    "sole: the withheld one beside another": ("sole", 7, ["", A], "", "exact", ""),
}
AMBIGUOUS = {
    "suffix: two equal tails": ("suffix", 7, [A, SAME_TAIL], A_AS_Y_SEES_IT),
    "suffix: the very ANI beside an equal tail": ("suffix", 7, [A, SAME_TAIL], A),
    "suffix: the very ANI of a tail's length beside it": ("suffix", 7, [A[-7:], A], A[-7:]),
    "suffix: two of three": ("suffix", 7, [A, OTHER, SAME_TAIL], "1234567"),
    "sole: two equal tails": ("sole", 7, [A, SAME_TAIL], A_AS_Y_SEES_IT),
    "sole: the very ANI beside an equal tail": ("sole", 7, [A, SAME_TAIL], A),
    "sole: two callers": ("sole", 7, [A, OTHER], PBX),
    "sole: two callers and none presented": ("sole", 7, [A, OTHER], ""),
    "sole: a caller and a withheld one": ("sole", 7, [A, ""], PBX),
}
NOT_FOUND = {
    "exact: nobody": ("exact", 7, [], A),
    "exact: more before the tail": ("exact", 7, [A], A_AS_Y_SEES_IT),
    "exact: a plus": ("exact", 7, [A], f"+{A}"),
    "exact: withheld on the way": ("exact", 7, [A], ""),
    "exact: withheld from the start": ("exact", 7, [""], A),
    "suffix: nobody": ("suffix", 7, [], A),
    "suffix: another tail": ("suffix", 7, [A], OTHER),
    "suffix: one digit too few presented": ("suffix", 7, [A], A[-6:]),
    "suffix: one digit too few kept": ("suffix", 7, [A[-6:]], A),
    "suffix: one digit too few on both sides": ("suffix", 7, [A[-6:]], "9" + A[-5:]),
    "suffix: a plus in place of the digit too few kept": ("suffix", 7, [f"+{A[-6:]}"], A),
    "suffix: a plus in place of the digit too few presented": ("suffix", 7, [A], f"+{A[-6:]}"),
    "suffix: one digit of the tail differs": ("suffix", 7, [A], "5550234567"),
    "suffix: ten digits differ in the first": ("suffix", 10, [A], SAME_TAIL),
    "suffix: withheld on the way": ("suffix", 7, [A], ""),
    "suffix: withheld from the start": ("suffix", 7, [""], A),
    "suffix: one digit, withheld on the way": ("suffix", 1, [A], ""),
    "suffix: the PBX's own number": ("suffix", 7, [A], PBX),
    "sole: nobody": ("sole", 7, [], PBX),
    "sole: nobody, withheld": ("sole", 7, [], ""),
}


def live(
    client: Redis, new_pool: MakePool, store: Store, rule: str, callers: Collection[str], *, digits: int = 7
) -> Pool:
    """A pool whose only number these callers have, whatever the rule would say: it was exact when they called.

    One who is withheld called when such a caller still shared a number.
    """
    exact = new_pool("100")
    for ani in callers:
        store.lease(exact, ani or STAND_IN, f'"of {ani}"', "x", 60_000)
    if "" in callers:
        withhold(client, "100")
    return replace(exact, match=rule, match_digits=digits, exhausted="reject")


def operations(store: Store, pool: Pool) -> dict[str, Callable[[str], Held | None]]:
    place = at(pool, "100")
    return {
        "read": lambda ani: store.read(place, ani, "y"),
        "renew": lambda ani: store.renew(place, ani, 60_000),
        "take": lambda ani: store.take(place, ani, "y"),
    }


@pytest.mark.parametrize(("rule", "digits", "callers", "ani", "grade", "found"), FOUND.values(), ids=FOUND.keys())
def test_every_operation_finds_the_call_that_is_meant(
    client: Redis,
    store: Store,
    new_pool: MakePool,
    *,
    rule: str,
    digits: int,
    callers: list[str],
    ani: str,
    grade: str,
    found: str,
) -> None:
    pool = live(client, new_pool, store, rule, callers, digits=digits)
    assert store.explain(at(pool, "100"), ani)[:2] == (grade, found)
    for ask in operations(store, pool).values():
        held = ask(ani)
        assert held
        assert (held.value, held.grade) == (f'"of {found}"', grade)
    left = {call.ani for call in store.explain(at(pool, "100"), ani).calls}
    assert left == set(callers) - {found}


@pytest.mark.parametrize(("rule", "digits", "callers", "ani"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_no_operation_guesses_which_of_two_is_meant(
    client: Redis, store: Store, new_pool: MakePool, *, rule: str, digits: int, callers: list[str], ani: str
) -> None:
    pool = live(client, new_pool, store, rule, callers, digits=digits)
    assert store.explain(at(pool, "100"), ani).grade == "ambiguous"
    before = but_counts(client)
    for ask in operations(store, pool).values():
        with pytest.raises(Ambiguous):
            ask(ani)
    assert but_counts(client) == before


@pytest.mark.parametrize(("rule", "digits", "callers", "ani"), NOT_FOUND.values(), ids=NOT_FOUND.keys())
def test_what_does_not_fit_is_not_found_and_nothing_changes(
    client: Redis, store: Store, new_pool: MakePool, *, rule: str, digits: int, callers: list[str], ani: str
) -> None:
    pool = live(client, new_pool, store, rule, callers, digits=digits)
    before = but_counts(client)
    assert store.explain(at(pool, "100"), ani)[:2] == ("", "")
    for ask in operations(store, pool).values():
        assert ask(ani) is None
    assert but_counts(client) == before


@pytest.mark.parametrize("rule", ["exact", "suffix", "sole"])
def test_a_caller_whose_call_has_ended_is_no_candidate(
    client: Redis, store: Store, new_pool: MakePool, rule: str
) -> None:
    pool = live(client, new_pool, store, rule, [])
    store.lease(replace(pool, exhausted="share", match="exact"), SAME_TAIL, '"old"', "x", 1_000)
    store.lease(replace(pool, exhausted="share", match="exact"), A, '"new"', "x", 60_000)
    age(client, 1_000)
    assert [call.ani for call in store.explain(at(pool, "100"), A).calls] == [A]
    held = store.take(at(pool, "100"), A, "y")
    assert held
    assert (held.value, held.grade) == ('"new"', "exact")


def test_a_listed_caller_whose_call_is_lost_is_no_candidate(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = live(client, new_pool, store, "sole", [A, OTHER])
    client.delete(f"cti:{{system-y}}:call:100:{OTHER}")
    assert store.explain(at(pool, "100"), PBX)[:2] == ("sole", A)
    assert store.take(at(pool, "100"), PBX, "y").value == f'"of {A}"'  # type: ignore[union-attr]


@pytest.mark.parametrize("rule", ["suffix", "sole"])
def test_among_more_callers_than_are_looked_at_nobody_is_picked(
    client: Redis, store: Store, new_pool: MakePool, rule: str
) -> None:
    pool = live(client, new_pool, store, rule, [A])
    crowd = {str(ani): now_ms(client) + 50_000 for ani in range(MOST_CALLERS)}
    client.zadd("cti:{system-y}:callers:100", crowd)
    for ask in operations(store, pool).values():
        with pytest.raises(Ambiguous):
            ask(A)
    assert store.explain(at(pool, "100"), A).grade == "ambiguous"
    assert store.read(at(replace(pool, match="exact"), "100"), A, "y")


BY = {"exact": A, "suffix": A_AS_Y_SEES_IT, "sole": PBX}


@pytest.mark.parametrize("grade", BY)
def test_a_taken_call_is_gone_under_the_ani_presented_and_the_ani_kept(
    client: Redis, store: Store, new_pool: MakePool, grade: str
) -> None:
    pool = live(client, new_pool, store, grade, [A])
    before = now_ms(client)
    taken = store.take(at(pool, "100"), BY[grade], "y")
    assert taken
    assert taken.grade == grade
    assert set(client.keys("*:gone:*")) == {f"cti:{{system-y}}:gone:100:{ani}" for ani in (A, BY[grade])}
    for key in client.keys("*:gone:*"):
        taken_ms, token = client.get(key).split(" ")
        assert before <= int(taken_ms) <= now_ms(client)
        assert token == taken.token
        assert REST_S * 1000 - 1000 < client.pttl(key) <= REST_S * 1000
    when = datetime.fromtimestamp(int(client.get(f"cti:{{system-y}}:gone:100:{A}").split()[0]) / 1000, UTC)
    said = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    left = but_counts(client)
    for ani in {A, BY[grade]}:
        assert store.explain(at(pool, "100"), ani).grade == "gone"
        for ask in operations(store, pool).values():
            with pytest.raises(Gone, match=said):
                ask(ani)
    assert but_counts(client) == left


@pytest.mark.parametrize("grade", BY)
def test_a_taken_call_is_gone_for_a_minute_and_then_not_found(
    client: Redis, store: Store, new_pool: MakePool, grade: str
) -> None:
    pool = live(client, new_pool, store, grade, [A])
    assert store.take(at(pool, "100"), BY[grade], "y")
    age(client, REST_S * 1000 - 2_000)
    for ask in operations(store, pool).values():
        with pytest.raises(Gone):
            ask(BY[grade])
    age(client, 2_000)
    assert store.explain(at(pool, "100"), BY[grade])[:2] == ("", "")
    for ask in operations(store, pool).values():
        assert ask(BY[grade]) is None


@pytest.mark.parametrize("grade", ["suffix", "sole"])
@pytest.mark.parametrize(("cooldown_s", "rest_s"), [(0, 60), (5, 60), (90, 90)])
def test_a_repeated_take_never_meets_the_next_call(
    client: Redis, store: Store, new_pool: MakePool, *, grade: str, cooldown_s: int, rest_s: int
) -> None:
    pool = new_pool("100", match=grade, exhausted="reject", cooldown_ms=cooldown_s * 1000)
    store.lease(pool, A, '"first"', "x", 60_000)
    assert store.take(at(pool, "100"), BY[grade], "y").value == '"first"'  # type: ignore[union-attr]
    for seconds in (1, 5, rest_s - 8):
        with pytest.raises(PoolExhausted):
            store.lease(pool, SAME_TAIL, '"next"', "x", 60_000)
        age(client, seconds * 1000)
    on_the_second(client)
    with pytest.raises(PoolExhausted) as refused:
        store.lease(pool, SAME_TAIL, '"next"', "x", 60_000)
    assert refused.value.retry_after == 2
    if rest_s == REST_S:
        with pytest.raises(Gone):
            store.take(at(pool, "100"), BY[grade], "y")
    age(client, 2_000)
    assert store.take(at(pool, "100"), BY[grade], "y") is None
    assert store.lease(pool, SAME_TAIL, '"next"', "x", 60_000).dnis == "100"
    assert store.take(at(pool, "100"), SAME_TAIL, "y").value == '"next"'  # type: ignore[union-attr]


@pytest.mark.parametrize("grade", ["suffix", "sole"])
def test_who_asks_late_for_an_expired_call_does_not_meet_the_next_call(
    client: Redis, store: Store, new_pool: MakePool, grade: str
) -> None:
    pool = new_pool("100", match=grade, exhausted="reject", cooldown_ms=0)
    store.lease(pool, A, '"first"', "x", 10_000)
    age(client, 10_000)
    assert store.take(at(pool, "100"), BY[grade], "y") is None
    age(client, REST_S * 1000 - 2_000)
    on_the_second(client)
    with pytest.raises(PoolExhausted) as refused:
        store.lease(pool, SAME_TAIL, '"next"', "x", 60_000)
    assert refused.value.retry_after == 2


def test_a_repeated_take_beside_another_caller_is_gone_and_the_other_call_stays(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = live(client, new_pool, store, "sole", [A, OTHER])
    assert store.take(at(pool, "100"), A_AS_Y_SEES_IT, "y").grade == "suffix"  # type: ignore[union-attr]
    for ani in (A_AS_Y_SEES_IT, A):
        with pytest.raises(Gone):
            store.take(at(pool, "100"), ani, "y")
    assert store.take(at(pool, "100"), OTHER, "y").value == f'"of {OTHER}"'  # type: ignore[union-attr]


@pytest.mark.parametrize("grade", ["suffix", "sole"])
def test_gone_comes_before_every_grade_but_exact(store: Store, new_pool: MakePool, grade: str) -> None:
    """The rest keeps such a call off the number; a rule that was changed on the way must not let it be found."""
    exact = new_pool("100", cooldown_ms=0)
    pool = replace(exact, match=grade)
    store.lease(exact, A, '"first"', "x", 60_000)
    assert store.take(at(pool, "100"), BY[grade], "y").value == '"first"'  # type: ignore[union-attr]
    store.lease(exact, SAME_TAIL, '"next"', "x", 60_000)
    assert store.explain(at(pool, "100"), BY[grade]).grade == "gone"
    for ask in operations(store, pool).values():
        for ani in (BY[grade], A):
            with pytest.raises(Gone):
                ask(ani)
    assert store.take(at(pool, "100"), SAME_TAIL, "y").value == '"next"'  # type: ignore[union-attr]


def test_without_a_cool_down_a_repeated_take_is_gone_though_the_number_has_its_next_call(
    store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", cooldown_ms=0, exhausted="reject")
    store.lease(pool, A, '"first"', "x", 60_000)
    assert store.take(at(pool, "100"), A, "y")
    store.lease(pool, OTHER, '"next"', "x", 60_000)
    for ask in operations(store, pool).values():
        with pytest.raises(Gone):
            ask(A)
    assert store.take(at(pool, "100"), OTHER, "y").value == '"next"'  # type: ignore[union-attr]


@pytest.mark.parametrize("match", ["exact", "suffix", "sole"])
@pytest.mark.parametrize("ani", [A, ""])
def test_a_new_call_of_the_same_caller_is_found_though_the_one_before_was_taken(
    client: Redis, store: Store, new_pool: MakePool, match: str, ani: str
) -> None:
    pool = new_pool("100", match=match, exhausted="reject")
    for value in ('"first"', '"second"', '"third"'):
        assert store.lease(pool, ani, value, "x", 60_000).dnis == "100"
        assert store.explain(at(pool, "100"), ani)[:2] == ("exact", ani)
        for ask in operations(store, pool).values():
            held = ask(ani)
            assert held
            assert (held.value, held.grade) == (value, "exact")
        with pytest.raises(Gone):
            store.take(at(pool, "100"), ani, "y")
        age(client, REST_S * 1000)


@pytest.mark.parametrize("grade", ["exact", "suffix", "sole"])
def test_a_renewal_finds_by_the_same_grade_and_renews_the_one_that_it_found(
    client: Redis, store: Store, new_pool: MakePool, grade: str
) -> None:
    pool = live(client, new_pool, store, grade, [A])
    held = store.renew(at(pool, "100"), BY[grade], 120_000, '"new"')
    assert held
    assert (held.value, held.grade) == ('"new"', grade)
    assert client.keys("*:call:*") == [f"cti:{{system-y}}:call:100:{A}"]
    assert 119_000 < client.pttl(f"cti:{{system-y}}:call:100:{A}") <= 120_000
    assert client.zrange("cti:{system-y}:callers:100", 0, -1) == [A]


@pytest.mark.parametrize("rule", ["exact", "suffix", "sole"])
def test_explaining_changes_nothing_and_tells_every_live_call_but_no_value(
    client: Redis, store: Store, new_pool: MakePool, rule: str
) -> None:
    pool = live(client, new_pool, store, rule, [])
    exact = replace(pool, match="exact", exhausted="share")
    leases = {ani: store.lease(exact, ani or STAND_IN, '"secret"', who, 60_000) for ani, who in ((A, "x"), ("", "bob"))}
    withhold(client, "100")
    before = everything(client)
    told = store.explain(at(pool, "100"), A)
    assert {call.ani: (call.token, call.lessee, call.leased_ms) for call in told.calls} == {
        A: (leases[A].token, "x", leases[A].leased_ms),
        "": (leases[""].token, "bob", leases[""].leased_ms),
    }
    assert all(59_000 < call.left_ms <= 60_000 for call in told.calls)
    assert "secret" not in repr(told)
    assert everything(client) == before
