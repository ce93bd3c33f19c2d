import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from cticache.access import passwords
from cticache.access.passwords import Verifier, hashed, invent, invent_token
from cticache.access.users import ROLES, User, token_digest

HASH = hashed("right")


def _user(name: str, stored: str = HASH) -> User:
    return User(name, stored, None, frozenset(ROLES))


def _verifier(*users: User, remember_s: float = 60, size: int = 100) -> Verifier:
    return Verifier(users or (_user("bob"),), remember_s, size)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The hash and password of each check that really hashes, in order."""
    calls: list[tuple[str, str]] = []
    really: Callable[[str, str], bool] = passwords._matches

    def matches(stored: str, password: str) -> bool:
        calls.append((stored, password))
        return really(stored, password)

    monkeypatch.setattr("cticache.access.passwords._matches", matches)
    return calls


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the module sees; set its one element."""
    now = [1000.0]
    monkeypatch.setattr("cticache.access.passwords.time.monotonic", lambda: now[0])
    return now


def test_a_hash_has_the_parameters_of_the_owasp_cheat_sheet() -> None:
    assert HASH.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    parameters = extract_parameters(HASH)
    assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (Type.ID, 19 * 1024, 2)
    assert (parameters.parallelism, parameters.salt_len, parameters.hash_len) == (1, 16, 32)


def test_the_same_password_is_never_the_same_hash() -> None:
    assert hashed("right") != HASH


def test_an_invented_password_needs_no_quoting_and_is_new_each_time() -> None:
    invented = {invent() for _ in range(50)}
    assert len(invented) == 50
    assert all(re.fullmatch("[0-9a-f]{32}", password) for password in invented)


def test_right_credentials_are_the_user() -> None:
    bob = _user("bob")
    assert _verifier(bob).user("bob", "right") is bob


@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param("bob", "wrong", id="wrong password"),
        pytest.param("bob", "", id="no password"),
        pytest.param("bob", "right ", id="space after"),
        pytest.param("bob", "Right", id="other case"),
        pytest.param("bob", HASH, id="the hash itself"),
        pytest.param("bob", "right\0", id="NUL after"),
        pytest.param("Bob", "right", id="name in other case"),
        pytest.param("eve", "right", id="unknown user"),
        pytest.param("", "", id="nothing"),
        pytest.param("b\u00f6b", "\u00e4", id="not ASCII"),
        pytest.param("bob", "x" * 100_000, id="very long"),
    ],
)
def test_other_credentials_are_nobody(name: str, password: str) -> None:
    assert _verifier().user(name, password) is None


def test_a_password_may_have_any_characters() -> None:
    odd = "\u00e4 : \U0001f600\t"
    assert _verifier(_user("bob", hashed(odd))).user("bob", odd)


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_verdict_is_remembered(password: str, checked: list[tuple[str, str]]) -> None:
    verifier = _verifier()
    verdicts = {verifier.user("bob", password) for _ in range(5)}
    assert len(verdicts) == 1
    assert len(checked) == 1


def test_the_verdict_on_an_unknown_user_is_remembered(checked: list[tuple[str, str]]) -> None:
    verifier = _verifier()
    assert not any(verifier.user("eve", "right") for _ in range(5))
    assert len(checked) == 1


def test_an_unknown_user_costs_one_hash_like_a_wrong_password(checked: list[tuple[str, str]]) -> None:
    verifier = _verifier()
    verifier.user("eve", "wrong")
    ((stored, password),) = checked
    assert password == "wrong"
    assert stored != HASH
    assert extract_parameters(stored) == extract_parameters(HASH)


def test_a_wrong_verdict_is_forgotten_after_its_time(checked: list[tuple[str, str]], clock: list[float]) -> None:
    verifier = _verifier(remember_s=60)
    verifier.user("bob", "wrong")
    clock[0] += 59.9
    verifier.user("bob", "wrong")
    assert len(checked) == 1
    clock[0] += 0.2
    assert not verifier.user("bob", "wrong")
    assert len(checked) == 2


def test_a_wrong_verdict_is_not_kept_longer_by_being_asked_for(
    checked: list[tuple[str, str]], clock: list[float]
) -> None:
    verifier = _verifier(remember_s=60)
    for _ in range(7):
        verifier.user("bob", "wrong")
        clock[0] += 10
    assert len(checked) == 2


@pytest.mark.parametrize("remember_s", [0, 60])
def test_a_right_verdict_holds_for_as_long_as_the_configuration(
    checked: list[tuple[str, str]], clock: list[float], remember_s: float
) -> None:
    verifier = _verifier(remember_s=remember_s)
    for _ in range(3):
        assert verifier.user("bob", "right")
        clock[0] += 1e6
    assert len(checked) == 1


def test_no_wrong_verdict_is_remembered_for_no_time(checked: list[tuple[str, str]], clock: list[float]) -> None:
    verifier = _verifier(remember_s=0)
    assert not any(verifier.user("bob", "wrong") for _ in range(3))
    assert len(checked) == 3


def test_the_memory_of_wrong_ones_is_bounded_and_drops_the_oldest(checked: list[tuple[str, str]]) -> None:
    verifier = _verifier(size=3)
    for password in ("a", "b", "c", "d"):
        verifier.user("bob", password)
    assert len(verifier._wrong) == 3
    verifier.user("bob", "d")
    assert len(checked) == 4
    verifier.user("bob", "a")
    assert len(checked) == 5
    assert len(verifier._wrong) == 3


def test_wrong_passwords_evict_no_right_one(monkeypatch: pytest.MonkeyPatch, checked: list[tuple[str, str]]) -> None:
    verifier = _verifier(size=20)
    assert verifier.user("bob", "right")
    monkeypatch.setattr(passwords, "_matches", lambda *_: False)
    assert not any(verifier.user(name, str(n)) for n in range(25) for name in ("bob", "eve"))
    assert verifier.user("bob", "right")
    assert len(verifier._right) == 1


def test_there_is_one_right_verdict_for_each_hash_and_token() -> None:
    bob = User("bob", HASH, password_next=hashed("next"), token=frozenset({token_digest("a"), token_digest("b")}))
    verifier = _verifier(bob, _user("eve"))
    asked = [(name, password) for name in ("bob", "eve", "joe") for password in ("right", "next", "a", "b", "right ")]
    right = [each for each in asked if verifier.user(*each)]
    assert right == [("bob", "right"), ("bob", "next"), ("bob", "a"), ("bob", "b"), ("eve", "right")]
    assert len(verifier._right) == 5


def test_two_passwords_are_right_while_one_takes_the_others_place(checked: list[tuple[str, str]]) -> None:
    bob = User("bob", HASH, password_next=hashed("next"))
    verifier = _verifier(bob)
    assert verifier.user("bob", "right") is verifier.user("bob", "next") is bob
    assert not verifier.user("bob", "wrong")


@pytest.mark.parametrize("name", ["bob", "eve", "joe", "nobody"])
def test_a_wrong_password_costs_as_many_hashes_whoever_has_two(checked: list[tuple[str, str]], name: str) -> None:
    """Otherwise the time that it takes would tell whether there is such a user."""
    token = frozenset({token_digest("a-token")})
    users = (User("bob", HASH, password_next=HASH), _user("eve"), User("joe", token=token))
    assert not _verifier(*users).user(name, "wrong")
    assert len(checked) == 2
    assert all(extract_parameters(stored) == extract_parameters(HASH) for stored, _ in checked)


def test_a_token_is_right_at_once_as_a_bearers_and_as_a_password(checked: list[tuple[str, str]]) -> None:
    token, other = invent_token(), invent_token()
    bob, eve = User("bob", token=frozenset({token_digest(token), token_digest(other)})), _user("eve")
    verifier = _verifier(bob, eve)
    assert verifier.bearer(token) is verifier.bearer(other) is bob
    assert verifier.user("bob", token) is verifier.user("bob", other) is bob
    assert not checked
    assert verifier.bearer("") is verifier.bearer("right") is verifier.bearer(token_digest(token)) is None
    assert verifier.bearer(f"sha256:{token_digest(token)}") is None
    assert verifier.user("eve", token) is verifier.user("nobody", token) is None
    assert verifier.user("bob", token_digest(token)) is None


def test_an_invented_token_has_256_bits_and_is_one_of_rfc_6750() -> None:
    tokens = {invent_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)


def test_many_with_the_same_new_credentials_pay_one_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(16)
    hashing, go_on = threading.Event(), threading.Event()
    calls = []

    def matches(stored: str, password: str) -> bool:
        calls.append(password)
        hashing.set()
        assert go_on.wait(10)
        return True

    monkeypatch.setattr("cticache.access.passwords._matches", matches)
    verifier = _verifier()

    def ask() -> User | None:
        together.wait(10)
        return verifier.user("bob", "right")

    with ThreadPoolExecutor(16) as executor:
        asked = [executor.submit(ask) for _ in range(16)]
        assert hashing.wait(10)
        assert not any(one.done() for one in asked)
        go_on.set()
        assert all(one.result(10) for one in asked)
    assert calls == ["right"]
    assert not verifier._underway


def test_many_who_wait_for_a_check_that_breaks_are_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing, go_on = threading.Event(), threading.Event()

    def matches(stored: str, password: str) -> bool:
        hashing.set()
        assert go_on.wait(10)
        raise MemoryError

    monkeypatch.setattr("cticache.access.passwords._matches", matches)
    verifier = _verifier()
    with ThreadPoolExecutor(2) as executor:
        first = executor.submit(verifier.user, "bob", "right")
        assert hashing.wait(10)
        second = executor.submit(verifier.user, "bob", "right")
        go_on.set()
        assert isinstance(first.exception(10), MemoryError)
        assert second.exception(10) or second.result() is None
    assert not verifier._underway


def test_a_check_that_breaks_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(stored: str, password: str) -> bool:
        raise MemoryError

    verifier = _verifier()
    with monkeypatch.context() as patch:
        patch.setattr("cticache.access.passwords._matches", breaks)
        with pytest.raises(MemoryError):
            verifier.user("bob", "right")
    assert verifier.user("bob", "right")


def test_the_boundary_of_name_and_password_counts(checked: list[tuple[str, str]]) -> None:
    verifier = _verifier(_user("a", hashed("bc")), _user("ab", hashed("x")))
    assert verifier.user("a", "bc")
    assert verifier.user("ab", "c") is None
    assert verifier.user("abc", "") is None
    assert verifier.user("", "abc") is None
    assert len(checked) == 4


def test_no_password_and_no_plain_digest_is_kept() -> None:
    verifier, other = _verifier(), _verifier()
    for each in (verifier, other):
        each.user("bob", "right")
        each.user("bob", "a-wrong-word")
    kept = repr({name: getattr(verifier, name) for name in vars(verifier)})
    assert "a-wrong-word" not in kept
    assert "'right'" not in kept
    assert not set(verifier._right) & set(other._right)  # each process has a key of its own
    assert not set(verifier._wrong) & set(other._wrong)


def test_a_hash_of_other_parameters_is_verified_too() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")
    verifier = _verifier(_user("bob", weak))
    assert verifier.user("bob", "right")
    assert verifier.user("bob", "wrong") is None


@pytest.mark.parametrize("stored", ["", "right", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$x$y"])
def test_a_stored_hash_that_is_none_lets_nobody_in(stored: str) -> None:
    assert _verifier(_user("bob", stored)).user("bob", "right") is None
