"""What only Windows can show: `python3 scripts/wine.py` runs these tests on Linux, under Wine."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from kit.sites import Site

if sys.platform != "win32":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def site(tmp_path: Path, client: Redis, redis_url: str) -> Iterator[Site]:
    """Starts services on the Redis under test."""
    made = Site(tmp_path, redis_url)
    yield made
    made.close()
