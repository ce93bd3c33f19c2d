"""Passwords: hashed with argon2id, checked in constant time, verdicts remembered for a moment."""

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from cticache.users import User

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
"""argon2id with 19 MiB, t=2, p=1: the OWASP Password Storage Cheat Sheet's first choice; about 20 ms."""

HASH_PREFIX = "$argon2id$"


def invent() -> str:
    """A new random password of 128 bits that needs no quoting in a shell, an URL or an INI file."""
    return secrets.token_hex(16)


def hashed(password: str) -> str:
    """The hash to keep, in the PHC string format."""
    return _HASHER.hash(password)


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError) as error:
        if "emory" in str(error):  # "Memory allocation error" is no verdict
            raise
        return False


class Verifier:
    """Checks credentials. An unknown user costs the same as a wrong password.

    Right and wrong verdicts are remembered under an HMAC of user, password and stored hash, with a key that this
    process never tells: the cache holds no password, and its size is bounded. Of several requests with the same new
    credentials one pays for the hash and the others wait for it.
    """

    def __init__(self, users: Iterable[User], remember_s: float, size: int) -> None:
        self._users = {user.name: user for user in users}
        self._remember_s = remember_s
        self._size = size
        self._key = secrets.token_bytes(32)
        self._decoy = hashed(invent())
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()
        self._underway: dict[bytes, Future[bool]] = {}

    def user(self, name: str, password: str) -> User | None:
        """The user whose credentials these are; None when there is no such user or the password is wrong."""
        user = self._users.get(name)
        stored = user.password if user else self._decoy
        right = self._verdict(self._digest(name, password, stored), stored, password)
        return user if right else None

    def _digest(self, *parts: str) -> bytes:
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            mac.update(len(data).to_bytes(8, "big") + data)
        return mac.digest()

    def _verdict(self, digest: bytes, stored: str, password: str) -> bool:
        with self._lock:
            right, expires = self._verdicts.get(digest, (False, 0.0))
            if time.monotonic() < expires:
                return right
            underway = self._underway.get(digest)
            if not underway:
                mine = self._underway[digest] = Future[bool]()
        if underway:
            return underway.result()
        try:
            verdict = _matches(stored, password)
        except BaseException as error:
            with self._lock:
                del self._underway[digest]
            mine.set_exception(error)
            raise
        with self._lock:
            self._verdicts[digest] = (verdict, time.monotonic() + self._remember_s)
            self._verdicts.move_to_end(digest)
            while len(self._verdicts) > self._size:
                self._verdicts.popitem(last=False)
            del self._underway[digest]
        mine.set_result(verdict)
        return verdict
