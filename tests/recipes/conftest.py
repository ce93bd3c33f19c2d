"""A service for the recipes, with users who may do no more than their side of the exchange."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cticache.access.passwords import Verifier, hashed
from cticache.access.users import User
from cticache.numbering.country import Country

pytest.register_assert_rewrite("kit.recipes")

from kit.recipes import FULL, PASSWORD, POOL, WITHOUT_DATA, Desk, X, Y  # noqa: E402
from kit.running import Service, Wire  # noqa: E402
from kit.samples import make_pool  # noqa: E402

EVERYWHERE = ("test_python.py", "test_amazon_connect.py")

if sys.platform == "win32":  # there are no such shells and programs
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name not in EVERYWHERE]


@pytest.fixture(scope="session")
def verifier() -> Verifier:
    kept = hashed(PASSWORD)
    roles = {X: ("lease",), Y: ("read", "take")}
    users = [User(name, kept, None, frozenset(allowed)) for name, allowed in roles.items()]
    return Verifier(users, remember_s=3600, size=1000, many=1_000_000)


@pytest.fixture
def desk(new_service: Callable[..., Service]) -> Iterator[Desk]:
    """A service with one pool that has numbers and one with a single number."""
    rules = {"country": Country.of("1"), "exhausted": "reject", "without_data": WITHOUT_DATA}
    wire = Wire(new_service(make_pool(name=POOL, **rules), make_pool("5559990000", name=FULL, **rules)), "batch")
    yield Desk(f"http://127.0.0.1:{wire.port}")
    wire.stop()
