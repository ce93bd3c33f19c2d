"""data/counters.py is the one list of what is counted: the scripts tally nothing else, and all of it."""

import re
from typing import get_args

import pytest

from cticache.data.condition import Condition
from cticache.data.counters import COUNTERS, HELD, KEPT_HOURS, PEAK, Counter
from cticache.data.replies import Difference, Grade, PoolStats
from cticache.data.scripts import read_scripts
from cticache.journal.counts import Sums
from cticache.operate.fill import Limits
from cticache.operate.metrics import Seen, exposition
from cticache.operate.pool_table import ASCII, pool_lines

LUA = "".join(re.sub(r"--.*", "", source) for source in read_scripts().values())
WORDS = set(re.findall(r"'(\w+)'", LUA))
"""Whatever stands between quotes in the scripts."""


def tallied() -> set[str]:
    """Each field that a script tallies: by its word, or by a word and what is put behind it."""
    found = set()
    for first, more in re.findall(r"\btally\(([^,()]+?)(?: \.\. ([^,()]+))?[,)]", LUA):
        if first == "outcome":
            found |= {"shared", "fallback"}  # as lease.lua's header has them; 'leased' is counted for each
        elif more == "grade":
            found |= {first.strip("'") + grade for grade in get_args(Grade)}
        elif more == "kind":
            found |= {first.strip("'") + kind for kind in (*get_args(Difference), "constant")}
        elif not more:
            found.add(first.strip("'"))
    return found


def test_the_scripts_tally_what_is_listed_and_nothing_else() -> None:
    assert tallied() - {"stats"} == {counter.field for counter in COUNTERS} | {HELD}
    assert {PEAK, "shared", "fallback"} <= WORDS


def test_no_two_counters_share_a_name() -> None:
    for names in (
        [counter.field for counter in COUNTERS],
        [counter.told for counter in COUNTERS],
        [(counter.metric, counter.label) for counter in COUNTERS],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.field)
def test_a_counter_is_a_figure_a_metric_and_a_word(counter: Counter) -> None:
    stats = PoolStats.of([0] * 8, [counter.field, "4711"], [], [])
    assert getattr(stats, counter.figure) == stats.figures()[counter.figure] == 4711
    assert sum(stats.counts.values()) == 4711
    label = f',{counter.by}="{counter.label}"' if counter.by else ""
    scraped = exposition(Seen({"p": stats}, None, False, True, Condition(), Sums())).decode()
    assert f'cticache_{counter.metric}_total{{{label[1:]}{"," if label else ""}pool="p"}} 4711.0' in scraped
    assert f"# HELP cticache_{counter.metric}_total {counter.says}" in scraped
    row = {"pool": "p", **stats.figures(), "last_10_minutes": None}
    shown = " ".join(pool_lines([row], ASCII, Limits(), width=None, counters=True))
    assert f"{counter.told} 4,711" in " ".join(shown.split())


def test_the_counters_of_an_hour_are_kept_as_long_everywhere() -> None:
    """In Lua it is written out: an include would cost something each time."""
    assert f"at + {KEPT_HOURS + 1}) * 3600000" in LUA
    assert f"now + {KEPT_HOURS * 3_600_000})" in LUA
