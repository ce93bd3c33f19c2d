"""Whose word counts when the sentinels do not agree, and that a change is heard."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.sentinel import MasterNotFoundError

from cticache.link import sentinels
from cticache.link.connection import connect
from cticache.link.sentinels import Sentinels
from kit.proxy import Impostor
from kit.running import until

OLD, NEW = ("127.0.0.1", 6001), ("127.0.0.1", 6002)


class Mouth:
    """A sentinel that says what the test wants it to."""

    def __init__(self) -> None:
        self.is_there = True
        self.asked = 0
        self._impostor = Impostor(self._answer)
        self.place = urlsplit(self._impostor.url).netloc
        self.close = self._impostor.close
        self.says(0, OLD)

    def says(self, epoch: int, address: tuple[str, int], flags: str = "master", before: Any = None) -> None:
        """``before``: what it still has for the primary while it reconfigures the replicas."""
        host, port = before or address
        told = {"name": "main", "ip": host, "port": port, "flags": flags, "config-epoch": epoch}
        self._told = _reply([str(each) for pair in told.items() for each in pair]) + _reply(list(map(str, address)))

    def _answer(self, data: bytes) -> bytes:
        if not self.is_there:
            raise EOFError
        if b"SUBSCRIBE" in data:
            return b"".join(_reply(["subscribe", each, n]) for n, each in enumerate(sentinels._CHANNELS, 1))
        self.asked += 1
        return self._told


def _reply(items: list[Any]) -> bytes:
    words = [f":{item}\r\n" if isinstance(item, int) else f"${len(item)}\r\n{item}\r\n" for item in items]
    return f"*{len(items)}\r\n{''.join(words)}".encode()


@pytest.fixture
def mouths() -> Iterator[list[Mouth]]:
    made = [Mouth() for _ in range(3)]
    yield made
    for mouth in made:
        mouth.close()


@pytest.fixture
def asked(mouths: list[Mouth]) -> Sentinels:
    url = f"redis+sentinel://{','.join(mouth.place for mouth in mouths)}/main"
    found = connect(url, 5.0).connection_pool.sentinel_manager
    assert isinstance(found, Sentinels)
    return found


def test_the_latest_configuration_counts_and_not_the_first_answer(mouths: list[Mouth], asked: Sentinels) -> None:
    assert asked.discover_master("main") == OLD
    mouths[2].says(1, NEW)
    assert asked.discover_master("main") == NEW
    mouths[0].is_there = False
    assert asked.discover_master("main") == NEW


def test_the_one_that_leads_a_failover_names_the_new_primary_before_it_has_told_the_replicas(
    mouths: list[Mouth], asked: Sentinels
) -> None:
    mouths[1].says(1, NEW, "master,s_down,o_down,failover_in_progress", before=OLD)
    assert asked.discover_master("main") == NEW


def test_an_older_configuration_counts_again_only_if_more_than_half_of_all_have_it(
    mouths: list[Mouth], asked: Sentinels
) -> None:
    for mouth in mouths[1:]:
        mouth.says(1, NEW)
    assert asked.discover_master("main") == NEW
    for mouth in mouths[1:]:
        mouth.is_there = False
    assert asked.discover_master("main") == NEW
    mouths[1].says(0, OLD)
    mouths[1].is_there = True
    assert asked.discover_master("main") == OLD


@pytest.mark.parametrize("flags", ["master,s_down", "master,o_down,s_down"])
def test_a_primary_that_is_known_to_be_down_is_none(mouths: list[Mouth], asked: Sentinels, flags: str) -> None:
    for mouth in mouths:
        mouth.says(0, OLD, flags)
    with pytest.raises(MasterNotFoundError, match="no sentinel that can be reached names a primary main that is up"):
        asked.discover_master("main")


def test_without_any_sentinel_nobody_is_the_primary(mouths: list[Mouth], asked: Sentinels) -> None:
    assert asked.discover_master("main") == OLD
    for mouth in mouths:
        mouth.is_there = False
    with pytest.raises(MasterNotFoundError):
        asked.discover_master("main")


def test_who_listens_asks_at_once_when_in_doubt_and_each_change_is_told_once(
    mouths: list[Mouth], asked: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "_LOOK_S", 4.0)
    told: list[str] = []
    watch = asked.watch([lambda: told.append("left")])
    watch.start()
    until(lambda: all(mouth.asked == 3 for mouth in mouths))  # after each subscription, too
    assert not told
    for mouth in mouths:
        mouth.says(1, NEW)
    watch.look()
    until(lambda: all(mouth.asked == 4 for mouth in mouths) and told)
    assert asked.discover_master("main") == NEW
    assert [mouth.asked for mouth in mouths] == [4, 4, 4]  # who listens knows, and asks nobody
    watch.stop()
    assert told == ["left"]
