"""The rules of a hand-over: which pool lends, and for how long; where a call may be; which answer outranks which.

It knows nothing of HTTP or of Redis's protocol. Its callers give a user, numbers and a value; they get what the store
has and where it was found, or a Refusal to pass on to the client.
"""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_in_thread
from dataclasses import replace

from cticache.access.users import User
from cticache.data.condition import Condition
from cticache.data.follower import InPlace
from cticache.data.replies import Held, Lease
from cticache.data.store import Store
from cticache.errors import (
    Ambiguous,
    Forbidden,
    Gone,
    NoSuchCall,
    NotReady,
    PoolExhausted,
    RedisUnavailable,
    Refusal,
    TooManyLive,
    WrongFields,
)
from cticache.numbering.ani import Ani
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place, Pools, Reading, readings, unambiguous

Looking = Callable[[str, str, str], None]
"""Told of each place before it is asked: the pool, the DNIS (empty for a lease) and the ANI in canonical form."""
_Ask = Callable[[Place, str, bool], Held | None]
"""One question to the store: what it has in this place under this canonical ANI; whether it is the request's last."""


Wait = Callable[["Future[None]", float], object]
_HELD_S = 10.0
"""The longest that a lease waits until all processes know the pools: some hundredths, unless one of them hangs."""
_ALONE = Condition(in_place=True, unsure=frozenset())


Found = tuple[Place, Held]
"""Where a call was found, and what is kept of it."""


class HandOver:
    """Lends numbers of the pools, and finds the calls on them again."""

    def __init__(
        self,
        store: Store,
        pools: Pools,
        keeper: InPlace,
        wait: Wait = lambda future, seconds: wait_in_thread((future,), seconds),
    ) -> None:
        """``wait`` waits until a future is done or so many seconds have passed."""
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._held = keeper.held
        self._wait = wait

    def lease(
        self,
        user: User,
        ani: Ani,
        value: str,
        *,
        pool: str | None = None,
        ttl_s: int | None = None,
        key: str = "",
        looking: Looking,
    ) -> tuple[Pool, Lease]:
        """Lend a number of the named pool, or of the first one that the user may use, and keep the value.

        Raises Forbidden, WrongFields for an unknown pool, an ANI that the pool cannot read or too long a time, NotReady
        for a pool that has other numbers under the service that rules or may still have those of one before this,
        RedisUnavailable where Redis keeps this service from knowing that, and what Store.lease raises. Where it is for
        no fault of the request that the data could not be kept, the refusal says where the call may go without it.
        """
        lender = self._lender(user, pool)
        try:
            return self._lease(user, ani, value, lender, ttl_s=ttl_s, key=key, looking=looking)
        except (PoolExhausted, TooManyLive, RedisUnavailable, NotReady) as refusal:
            refusal.transfer_to = self._pools.without_data(lender)
            raise

    def _lease(
        self, user: User, ani: Ani, value: str, lender: Pool, *, ttl_s: int | None, key: str, looking: Looking
    ) -> tuple[Pool, Lease]:
        if not self._held.done():  # another process would not know the number, and answer 404 for it
            self._wait(self._held, _HELD_S)
        condition = self._keeper.condition
        lender = self._pools.lendable(lender)
        if condition.overruled and lender.exhausted == "fallback":
            lender = replace(lender, exhausted="reject")  # it may be a pool's number under the service that rules
        try:
            canonical = lender.canonical(ani.bare)
        except ValueError as error:
            raise _wrong_ani(error) from None
        ttl_ms = _ttl_ms(lender, ttl_s)
        looking(lender.name, "", canonical)
        if condition.is_unsure(lender.name):
            raise condition.not_yet(f"The numbers of pool {lender.name} are not in place yet.")
        # A pool that has the same numbers there goes on: they are in place, and nobody else leases them.
        if lender.name in condition.overruled:
            raise NotReady(
                f"Pool {lender.name} has other numbers in the cticache that rules this Redis: {condition.ruler}. "
                "Give both the same pools and numbers, or stop that one.",
                retry_after=1,
            )
        try:
            lease = self._store.lease(
                lender, canonical, value, user.name, ttl_ms, sent=ani.sent, key=key, max_live=user.max_live
            )
        except NotReady:
            self._keeper.wake()
            raise
        if lease.jumped or (lease.dnis not in lender.numbers and not self._is_of(lease.dnis, lender)):
            self._keeper.wake()  # another service has put other numbers in place
        return lender, lease

    def read(self, user: User, dnis: str, ani: str, *, token: str = "", peek: bool = False, looking: Looking) -> Found:
        """Find a call and leave it where it is; ``ani`` is bare, as cticache.numbering.ani.read leaves it.

        With a ``token`` the call is the lease that has it, or none: ``ani`` may be anything. With ``peek`` nothing is
        changed in Redis: the call is not picked up, and nothing is counted.

        Raises NoSuchCall, Forbidden, Gone, Ambiguous, WrongFields for an ANI that no pool can read, and NotReady while
        it is not certain that there is no such call.
        """
        return self._first(
            user,
            dnis,
            ani,
            looking,
            lambda place, canonical, last: self._store.read(
                place, canonical, user.name, token=token, last=last, peek=peek
            ),
            is_certain=bool(token),
        )

    def take(
        self,
        user: User,
        dnis: str,
        ani: str,
        *,
        token: str = "",
        key: str = "",
        if_match: str = "",
        looking: Looking,
    ) -> Found:
        """Find a call, as ``read`` does, and end it. Raises what that does, Stale and KeyReused."""
        return self._first(
            user,
            dnis,
            ani,
            looking,
            lambda place, canonical, last: self._store.take(
                place, canonical, user.name, token=token, key=key, if_match=if_match, last=last
            ),
            is_certain=bool(token),
        )

    def renew(
        self,
        user: User,
        dnis: str,
        ani: str,
        value: str | None = None,
        *,
        ttl_s: int | None = None,
        if_match: str = "",
        looking: Looking,
    ) -> Found:
        """Find a call and start its time again, with a new value if one is given.

        The answer has the value, so a user without the role read renews only what that user leased.

        Raises what ``read`` does, ForeignCall, Stale, and WrongFields for a time longer than the call's pool allows.
        """
        only = "" if "read" in user.roles else user.name

        def renew(place: Place, canonical: str, last: bool) -> Held | None:
            ttl_ms = _ttl_ms(place.pool, ttl_s)
            return self._store.renew(place, canonical, ttl_ms, value, if_match=if_match, only=only, last=last)

        return self._first(user, dnis, ani, looking, renew)

    def knows(self, dnis: str) -> bool:
        """Whether this is a number of some pool; what a client took for one may be a caller's."""
        return bool(self._pools.of(dnis))

    def is_one_number(self, one: str, other: str) -> bool:
        """Whether two texts mean the same number of a pool."""
        if one == other:
            return True
        meant, also = ({place.dnis for place in self._pools.of(dnis)} for dnis in (one, other))
        return bool(meant) and meant == also

    def is_one_caller(self, dnis: str, one: str, other: str) -> bool:
        """Whether two bare ANI are the same caller's in every pool in which the number's call may be."""
        if one == other:
            return True
        return all(_alike(place.pool, one, other) for place in self._pools.of(dnis))

    def leases_alike(self, user: User, one: Ani, other: Ani, *, pool: str | None) -> bool:
        """Whether two ANI are the same caller's in the pool that would lend. Raises what ``lease`` does for that."""
        return one.bare == other.bare or _alike(self._lender(user, pool), one.bare, other.bare)

    def _is_of(self, dnis: str, pool: Pool) -> bool:
        return any(place.pool.name == pool.name for place in self._pools.of(dnis))

    def _lender(self, user: User, name: str | None) -> Pool:
        if name is None:
            for pool in self._pools:
                if user.may_use(pool.name):
                    return pool
            raise Forbidden(f"User {user.name} has no pool to lease from.")
        if not user.may_use(name):
            raise Forbidden(f"Pool {name} is not one of user {user.name}'s.")
        found = self._pools.get(name)
        if not found:
            raise WrongFields({"pool": ["No such pool."]})
        return found

    def _first(
        self, user: User, dnis: str, ani: str, looking: Looking, ask: _Ask, *, is_certain: bool = False
    ) -> Found:
        """The first call that is found; the next place is tried only when this one has none.

        One that is live under this very ANI anywhere outranks one that was taken (Gone). That outranks one that is
        found by less than its ANI, and that outranks that there is none (NoSuchCall). Where the call is certain, known
        by more than its ANI, it is in one place or in none.
        """
        there = places(self._pools, dnis, user, self._keeper.condition)
        if is_certain:
            found = [(place, _if_readable(place, ani)) for place in there]
            if held := self._of_all(found, looking, ask, are_last=True):
                return held
            raise _for_sure(NoSuchCall(), self._pools, there, self._keeper.condition)
        try:
            found = readings(there, ani)
        except ValueError as error:
            raise _wrong_ani(error) from None
        if self._pools.leaving is None:  # a call of this number's former pool may be on the line
            found = [(place._replace(rule="exact"), canonical) for place, canonical in found]
        if len(found) == 1:
            ((place, canonical),) = found
            looking(place.pool.name, place.dnis, canonical)
            if alone := ask(place, canonical, True):
                return place, alone
            raise _for_sure(NoSuchCall(), self._pools, [place], self._keeper.condition)
        found = self._of_one_number(found)
        # What one place finds by a tail, or because it is alone there, must not hide what another has or had under this
        # very ANI.
        exactly = [(place._replace(rule="exact"), canonical) for place, canonical in found]
        loosely = [reading for reading in found if reading[0].rule != "exact"]
        for readings_now, are_last in ((exactly, not loosely), (loosely, True)):
            if held := self._of_all(readings_now, looking, ask, are_last=are_last):
                return held
        raise _for_sure(NoSuchCall(), self._pools, [place for place, _ in found], self._keeper.condition)

    def _of_all(self, found: list[Reading], looking: Looking, ask: _Ask, *, are_last: bool) -> Found | None:
        """The first that is live in one of these places; Gone when none is and one was taken."""
        gone: tuple[str, Place, str] | None = None
        for place, canonical in found:
            looking(place.pool.name, place.dnis, canonical)
            try:
                held = ask(place, canonical, are_last and place is found[-1][0] and not gone)
            except Gone as error:
                gone = gone or (str(error), place, canonical)
                continue
            if held:
                return place, held
        if gone:
            said, place, canonical = gone  # the error itself, kept here, would wait for the collector
            looking(place.pool.name, place.dnis, canonical)
            raise Gone(said)
        return None

    def _of_one_number(self, found: list[Reading]) -> list[Reading]:
        """The same places; where the last digits mean two numbers, only those of the number that has or had the call.

        Finding out takes a round trip for each place. Raises Ambiguous where two numbers have one.
        """
        if len({place.dnis for place, _ in found}) == 1:
            return found
        having = [reading for reading in found if self._store.explain(*reading).grade in ("exact", "gone")]
        if len({place.dnis for place, _ in having}) > 1:
            raise Ambiguous("The last digits mean more than one number, and a call with this ANI is on two of them.")
        return having or found


def places(pools: Pools, dnis: str, user: User | None = None, condition: Condition = _ALONE) -> list[Place]:
    """Where a call on this number may be, in the pools that this user may use; in any pool without a user.

    Raises NoSuchCall for a number of no pool, Forbidden for one in other users' pools, and NotReady while it is not
    known which numbers left their pools, or another service has other numbers.
    """
    found = pools.of(dnis)
    if condition.overruled and any(place.by_ending for place in found):
        raise _uncertain(condition)
    if not found and "rules" in condition.notes:  # it may be the fallback number of the other service
        raise _uncertain(condition)
    if not found:
        raise _for_sure(NoSuchCall("The DNIS is in no pool."), pools, found, condition)
    if user and not (theirs := [place for place in found if user.may_use(place.pool.name)]):
        refusal = Forbidden(f"The DNIS is not in a pool of user {user.name}'s.")
        raise _for_sure(refusal, pools, found, condition)
    return unambiguous(theirs if user else found)


def _if_readable(place: Place, ani: str) -> str:
    """The canonical form that an ANI has there; empty where it has none."""
    try:
        return place.pool.canonical(ani)
    except ValueError:
        return ""


def _for_sure(refusal: Refusal, pools: Pools, found: list[Place], condition: Condition) -> Refusal:
    """The refusal, if it is known in which pools the number is and was; otherwise the call may be in another one."""
    if pools.leaving is None:
        return condition.not_yet("It is not known yet which numbers left their pools with calls on them.")
    certain = (place for place in found if place.dnis in place.pool.numbers)
    if condition.overruled and all(place.pool.name in condition.overruled for place in certain):
        if found and isinstance(refusal, NoSuchCall):
            return NotReady(
                "No call is live here, and another cticache, which rules this Redis, may have the number in another "
                f"pool: ask that one ({condition.ruler}).",
                retry_after=1,
            )
        return _uncertain(condition)
    return refusal


def _uncertain(condition: Condition) -> NotReady:
    return NotReady(
        f"The number may be in a pool of which only the cticache that rules this Redis knows: {condition.ruler}. "
        "Give both the same pools and numbers, or stop that one.",
        retry_after=1,
    )


def _alike(pool: Pool, one: str, other: str) -> bool:
    try:
        return pool.canonical(one) == pool.canonical(other)
    except ValueError:
        return False


def _wrong_ani(error: ValueError) -> WrongFields:
    return WrongFields({"ani": [f"It {error}."]})


def _ttl_ms(pool: Pool, ttl_s: int | None) -> int:
    ttl_ms = pool.ttl_ms if ttl_s is None else ttl_s * 1000
    if ttl_ms > pool.max_ttl_ms:
        raise WrongFields({"ttl": [f"At most {pool.max_ttl_ms // 1000} seconds in this pool."]})
    return ttl_ms
