"""Passwords, hashed with argon2id, and tokens, kept as a SHA-256: checked in constant time, verdicts remembered."""

import hashlib
import random
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_in_thread
from functools import partial
from itertools import count

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from cticache.access.failures import UNKNOWN, Failures, Report
from cticache.access.networks import site
from cticache.access.order import Job
from cticache.access.room import Room
from cticache.access.turns import ASKED_BEFORE, Turns
from cticache.access.users import User, token_digest
from cticache.errors import TooManyLogins

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
"""argon2id with 19 MiB, t=2, p=1: the OWASP Password Storage Cheat Sheet's first choice; about 20 ms."""

_NO_MEMORY = "Memory allocation error"
"""What argon2 says when it could get none."""
_REST_S = 0.1
"""Before a hash of a name with many failures, and after one that is not calm: all of these take a sixth of a core."""
_SHORTEST = 0.75
"""Of the time that credentials may wait: who waits in vain is put off after this part of it, at the earliest."""

Wait = Callable[["Future[bool]", float], object]
"""Waits until a future is done or so many seconds have passed."""


def invent() -> str:
    """A new random password of 128 bits that needs no quoting in a shell, a URL or an INI file."""
    return secrets.token_hex(16)


def invent_token() -> str:
    """A new random token of 256 bits, of characters that RFC 6750 allows and that need no quoting."""
    return secrets.token_hex(32)


def hashed(password: str) -> str:
    """The hash to keep, in the PHC string format."""
    return _HASHER.hash(password)


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError) as error:
        if _NO_MEMORY in str(error):  # which says nothing about the password
            raise
        return False


class Verifier:
    """Checks credentials. An unknown user costs the same as a wrong password.

    Verdicts are remembered under a keyed BLAKE2b (RFC 7693) of name and password, whose key never leaves this process:
    no password is kept. A right one is remembered for as long as its user has the same passwords and tokens, and there
    is one for each of these; a wrong one for ``remember_s`` seconds, the last ``size`` of them.

    What is not remembered waits for its turn, as cticache.access.turns has them, with those who bring the same
    credentials. TooManyLogins is raised for who has waited for ``wait_s`` seconds, or has no place among the ``room``
    who may wait; if the same credentials come again, they rank before new ones, and by when they first came. At most
    ``queue`` of one name and site have a turn, those who came first; any others wait in vain.
    """

    def __init__(
        self,
        users: Iterable[User],
        remember_s: float,
        size: int,
        queue: int = 100,
        wait: Wait = lambda future, seconds: wait_in_thread((future,), seconds),
        *,
        wait_s: float = 30.0,
        room: int | None = None,
        many: int = 10,
        report: Report | None = None,
    ) -> None:
        """``many`` failures of a name or a site in a minute make it wait for others; ``report`` is told of each."""
        self._users = {user.name: user for user in users}
        self._nth = 0
        """How often the users were changed."""
        self._tokens = _by_token(self._users)
        self._remember_s = remember_s
        self._size = size
        self._queue = queue
        self._wait = wait
        self._wait_s = wait_s
        self._room = Room(room)
        self._key = secrets.token_bytes(32)
        self._rounds = _rounds(self._users)
        self._decoys = tuple(hashed(invent()) for _ in range(self._rounds))
        """Checked where a user has fewer hashes than another: how long a wrong password takes tells nothing."""
        self._lock = threading.Lock()
        self._right: dict[bytes, User] = {}
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        """Until when (time.monotonic()) the verdict holds."""
        self._put_off: OrderedDict[bytes, int] = OrderedDict()
        """Credentials that waited in vain, and when they first came."""
        self._arrivals = count()
        self._underway: dict[bytes, Job] = {}
        self._failures = Failures(many, size, report)
        self._turns = Turns(self._rest_s)

    def change(
        self,
        users: Iterable[User],
        remember_s: float,
        size: int,
        queue: int,
        *,
        wait_s: float,
        room: int | None,
        many: int,
    ) -> None:
        """Go by these users and limits, which ``__init__`` explains, from now on; who has failed stays known.

        A verdict that is under way then counts for whoever waits for it by now, and is not remembered.
        """
        now = {user.name: user for user in users}
        rounds = _rounds(now)
        more = tuple(hashed(invent()) for _ in range(rounds - len(self._decoys)))
        with self._lock:
            self._nth += 1
            self._users, self._tokens = now, _by_token(now)
            self._rounds, self._decoys = rounds, self._decoys + more
            self._remember_s, self._size, self._queue, self._wait_s = remember_s, size, queue, wait_s
            self._room.places, self._failures.many, self._failures.size = room, many, size
            self._underway, self._wrong = {}, OrderedDict()
            # Last: whoever has found the former users writes what is remembered of them into the former one.
            self._right = {
                digest: now[user.name]
                for digest, user in self._right.items()
                if user.name in now and _secrets(now[user.name]) == _secrets(user)
            }

    def knows(self, name: str) -> bool:
        """Whether there is a user of this name."""
        return name in self._users

    def bearer(self, token: str) -> User | None:
        """The user whose token this is; None when it is nobody's. There is no wait: a token cannot be guessed."""
        return self._tokens.get(token_digest(token))

    def user(self, name: str, password: str, where: Callable[[], str] = str) -> User | None:
        """The user whose credentials these are; None when there is no such user or the password is wrong.

        ``where`` tells the address that they come from, and is called only where that matters. A token serves as a
        password, too.
        """
        credentials = f"{name}:{password}".encode("utf-8", "surrogatepass")  # no name has a colon: RFC 7617 section 2
        digest = hashlib.blake2b(credentials, key=self._key, digest_size=32).digest()
        right = self._right
        if known := right.get(digest):
            return known
        user, of_token = self._users.get(name), self.bearer(password)
        if of_token and of_token is user:
            right[digest] = of_token
            return of_token
        lane, place = user.name if user else UNKNOWN, site(where())
        if time.monotonic() < self._wrong.get(digest, 0.0):
            self._failures.again(lane, place)
            if self._failures.is_busy(place):
                self._pause(lane)
            return None
        return user if self._checked(digest, lane, place, user, password) else None

    def _checked(self, digest: bytes, lane: str, place: str, user: User | None, password: str) -> bool:
        with self._lock:
            if digest in self._right:
                return True
            if time.monotonic() < self._wrong.get(digest, 0.0):
                self._failures.along(lane, place)
                return False
            since = self._put_off.get(digest)
            first = next(self._arrivals) if since is None else since
            if not self._room.enter(lane):
                self._put_off_to_later(digest, first)
                raise TooManyLogins(retry_after=1)
            job = self._underway.get(digest)
            comes_along = job is not None
            if not job:
                rank = self._failures.rank(lane, place, asked_before=since is not None)
                work = partial(self._work_out, digest, lane, place, user, password, nth=self._nth)
                job = Job(rank, lane, place, work, since=first, key=digest)
                self._queue_up(job)
            elif since is not None and job.rank > ASKED_BEFORE and self._turns.remove(job):
                job.rank = ASKED_BEFORE  # others with the same credentials wait since before these were put off
                self._queue_up(job)
            job.waiting += 1
        try:
            self._wait(job.future, self._patience())
        finally:
            with self._lock:
                self._room.leave(lane)
                job.waiting -= 1
                if not job.waiting and self._turns.remove(job):
                    self._underway.pop(digest, None)
                if not job.future.done():
                    self._put_off_to_later(digest, first)
        if not job.future.done():
            raise TooManyLogins(retry_after=1)
        verdict = job.future.result()
        if comes_along and not verdict:
            self._failures.along(lane, place)
        return verdict

    def _pause(self, lane: str) -> None:
        """Keep who sends the same wrong password over and over from taking all of the machine's time."""
        with self._lock:
            if not self._room.enter(lane):
                return
        try:
            self._wait(Future(), self._patience())
        finally:
            with self._lock:
                self._room.leave(lane)

    def _patience(self) -> float:
        """How long to wait: not all equally long, or hundreds that came together would come again together."""
        return self._wait_s * random.uniform(_SHORTEST, 1)  # noqa: S311 - nothing is kept secret by it

    def _queue_up(self, job: Job) -> None:
        self._underway[job.key] = job
        if out := self._turns.add(job, self._queue):
            self._underway.pop(out.key, None)  # who waits for it does so in vain

    def _put_off_to_later(self, digest: bytes, since: int) -> None:
        self._put_off[digest] = since
        self._put_off.move_to_end(digest)
        while len(self._put_off) > self._size:
            self._put_off.popitem(last=False)

    def _work_out(self, digest: bytes, lane: str, place: str, user: User | None, password: str, *, nth: int) -> bool:
        stored = (*(user.hashes if user else ()), *self._decoys)[: self._rounds]
        try:
            verdict = any(_matches(each, password) for each in stored)
        except BaseException:
            with self._lock:
                self._underway.pop(digest, None)
            raise
        with self._lock:
            if nth != self._nth:
                pass  # by now there are other users
            elif user and verdict:
                self._right[digest] = user
            else:
                self._wrong[digest] = time.monotonic() + self._remember_s
                self._wrong.move_to_end(digest)
                while len(self._wrong) > self._size:
                    self._wrong.popitem(last=False)
            self._put_off.pop(digest, None)
            self._underway.pop(digest, None)
        if not verdict:
            self._failures.add(lane, place)
        return verdict

    def _rest_s(self, job: Job) -> float:
        return _REST_S if self._failures.are_many(job.name, job.site) else 0.0


def _by_token(users: Mapping[str, User]) -> dict[str, User]:
    return {digest: user for user in users.values() for digest in user.token}


def _rounds(users: Mapping[str, User]) -> int:
    """How many hashes are checked for each password: as many as the user has that has most."""
    return max((len(user.hashes) for user in users.values()), default=1) or 1


def _secrets(user: User) -> object:
    return user.hashes, user.token
