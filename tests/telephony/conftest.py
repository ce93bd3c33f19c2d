"""Real calls: SIPp makes and answers them, Kamailio is System X, the network, and System Y.

On Debian they are in the packages kamailio, kamailio-utils-modules, kamailio-extra-modules and sip-tester.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from kit.telephony.stage import Stage, staged

if sys.platform == "win32":  # there is neither program
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def stage(tmp_path: Path, redis_url: str, client: Redis) -> Iterator[Stage]:
    """Everything that a call goes through, on the Redis under test."""
    with staged(tmp_path, redis_url) as made:
        yield made
