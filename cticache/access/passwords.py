"""Passwords: hashed with argon2id, checked in constant time, with verdicts remembered for a moment."""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from cticache.access.users import User
from cticache.errors import Busy

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
"""argon2id with 19 MiB, t=2, p=1: the OWASP Password Storage Cheat Sheet's first choice; about 20 ms."""

_NO_MEMORY = "Memory allocation error"
"""What argon2 says when it could get none."""
_HASHERS = 2
"""Hashes worked out at once: each takes 19 MiB and a core."""


def invent() -> str:
    """A new random password of 128 bits that needs no quoting in a shell, a URL or an INI file."""
    return secrets.token_hex(16)


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

    Right and wrong verdicts are remembered under a keyed BLAKE2b (RFC 7693) of name, stored hash and password, whose
    key never leaves this process: the cache holds no password, and its size is bounded. Hashes are worked out in
    threads of their own. Requests with the same new credentials share one hash, and wait for it by ``wait``; beyond
    ``queue`` different ones under way, Busy is raised.
    """

    def __init__(
        self,
        users: Iterable[User],
        remember_s: float,
        size: int,
        queue: int = 100,
        wait: Callable[[Future[bool]], bool] = Future.result,
    ) -> None:
        self._users = {user.name: user for user in users}
        self._remember_s = remember_s
        self._size = size
        self._queue = queue
        self._wait = wait
        self._key = secrets.token_bytes(32)
        self._decoy = hashed(invent())
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()
        self._underway: dict[bytes, Future[bool]] = {}
        self._hashers = ThreadPoolExecutor(_HASHERS, "argon2")

    def knows(self, name: str) -> bool:
        """Whether there is a user of this name."""
        return name in self._users

    def user(self, name: str, password: str) -> User | None:
        """The user whose credentials these are; None when there is no such user or the password is wrong."""
        user = self._users.get(name)
        stored = user.password if user else self._decoy
        # No name contains a colon (RFC 7617 section 2) and no hash a space, so no two credentials look the same.
        credentials = f"{name}:{stored} {password}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(credentials, key=self._key, digest_size=32).digest()
        right, expires = self._verdicts.get(digest, (False, 0.0))
        if time.monotonic() >= expires:
            right = self._verdict(digest, stored, password)
        return user if right else None

    def _verdict(self, digest: bytes, stored: str, password: str) -> bool:
        with self._lock:
            right, expires = self._verdicts.get(digest, (False, 0.0))
            if time.monotonic() < expires:
                return right
            underway = self._underway.get(digest)
            if not underway:
                if len(self._underway) >= self._queue:
                    raise Busy(retry_after=1)
                underway = self._underway[digest] = self._hashers.submit(self._work_out, digest, stored, password)
        return self._wait(underway)

    def _work_out(self, digest: bytes, stored: str, password: str) -> bool:
        try:
            verdict = _matches(stored, password)
        except BaseException:
            with self._lock:
                del self._underway[digest]
            raise
        with self._lock:
            self._verdicts[digest] = (verdict, time.monotonic() + self._remember_s)
            self._verdicts.move_to_end(digest)
            while len(self._verdicts) > self._size:
                self._verdicts.popitem(last=False)
            del self._underway[digest]
        return verdict
