"""The documentation names what is there: links, paths, commands, options and metrics."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cticache import cli
from cticache.config import environment
from cticache.data.condition import Condition
from cticache.data.counters import COUNTERS
from cticache.data.replies import NONE_FAILED, PoolStats
from cticache.journal.counts import Sums
from cticache.link.trouble import AWAY, REFUSALS, SILENT, UNKNOWN
from cticache.operate.metrics import Seen, exposition
from kit.checkout import CHECKOUT, ROOT
from kit.documents import BLOCK, DOCS, inline, lines

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./-])(?:(?:cticache|lua|scripts|tests|docs|\.ci)/[\w./*-]*|[\w-]+\.(?:md|ini|toml|txt)\b)")
EXPOSED = exposition(
    Seen(
        stats={"system-y": PoolStats.of([0] * 8, [], [], [])},
        failed_logins=NONE_FAILED,
        names_users=True,
        is_up=True,
        condition=Condition(),
        sums=Sums(),
    )
).decode()
each_doc = pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.relative_to(ROOT).as_posix())
in_checkout = pytest.mark.skipif(not CHECKOUT, reason="what these name is in a checkout alone")


def links(doc: Path) -> list[str]:
    return LINK.findall(BLOCK.sub("", DOCS[doc]))


def led_to(doc: Path, link: str) -> Path:
    return (doc.parent / urlsplit(link).path).resolve() if urlsplit(link).path else doc


def anchors(doc: Path) -> set[str]:
    """Those that GitHub gives to the headings; of two that are alike the second has a 1 after it."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", BLOCK.sub("", DOCS[doc]), re.MULTILINE):
        slug = re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")
        found[slug] = found.get(slug, 0) + 1
    return {f"{slug}-{at}" if at else slug for slug, count in found.items() for at in range(count)}


def options(text: str) -> Iterator[tuple[str, str]]:
    """Each section and option in the text of a configuration, those in its comments too."""
    section = ""
    for line in text.splitlines():
        if header := re.match(r"(?:; )?\[(.+?)\]", line):
            section = header[1]
        elif option := re.match(r"(?:; )?(\w+) =", line):
            yield section, option[1]
        for file in re.findall(r"\w+_file\b", line):
            yield section, file


CONFIGURED = set(options((ROOT / "config.ini").read_text("utf-8")))
KNOWN = {(section.partition(":")[0], option) for section, option in CONFIGURED}


@each_doc
def test_every_link_is_an_address_or_leads_to_a_heading_that_is_there(doc: Path) -> None:
    for link in links(doc):
        if urlsplit(link).scheme:
            assert re.fullmatch(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?", link)
        elif fragment := urlsplit(link).fragment:
            assert fragment in anchors(led_to(doc, link)), link


@in_checkout
@each_doc
def test_every_path_is_there(doc: Path) -> None:
    named = [path for path in PATH.findall(LINK.sub("", DOCS[doc])) if not [*ROOT.glob(path.replace("NAME", "*"))]]
    linked = [link for link in links(doc) if not urlsplit(link).scheme and not led_to(doc, link).exists()]
    assert named + linked == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        new = {led_to(doc, link) for doc in new for link in links(doc)} & DOCS.keys() - reached
    assert reached == DOCS.keys()


def test_the_readme_has_at_most_a_thousand_words_and_contributing_is_a_page() -> None:
    assert len(DOCS[ROOT / "README.md"].split()) <= 1000
    assert len(DOCS[ROOT / "CONTRIBUTING.md"].splitlines()) <= 70


@each_doc
def test_every_command_has_its_options(doc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in lines(doc):
        for command, rest in re.findall(r"(?:^|[$`] ?)cticache ([a-z]+)\b([^#`]*)", line):
            with pytest.raises(SystemExit) as ended:
                cli.main([command, "--help"])
            assert ended.value.code == 0, line
            assert set(re.findall(r"--[a-z-]+", rest)) <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)), line


def test_the_version_that_is_shown_is_this_one_and_what_is_new_in_it_is_told() -> None:
    this = version("cticache")
    shown = {
        found for text in DOCS.values() for found in re.findall(r'\b(?:cticache|version"?:?) "?(\d+\.\d+\.\d+)', text)
    }
    assert shown == {this}
    assert f"\n## [{this}] - 20" in DOCS[ROOT / "CHANGELOG.md"]


@in_checkout
@each_doc
def test_every_script_has_its_options(doc: Path) -> None:
    for line in lines(doc):
        for name, rest in re.findall(r"scripts/(\w+)\.py\b([^#]*)", line):
            sources = [ROOT / "scripts" / f"{name}.py", *ROOT.glob(f"scripts/{name}/**/*.py")]
            if name == "test":
                sources.append(ROOT / "tests" / "conftest.py")
            said = "".join(source.read_text("utf-8") for source in sources)
            assert [option for option in re.findall(r"--[a-z-]+", rest) if f'"{option}"' not in said] == []


@each_doc
def test_every_option_is_in_config_ini(doc: Path) -> None:
    named = {
        (section.partition(":")[0], option)
        for block in BLOCK.finditer(DOCS[doc])
        if block[1] == "ini"
        for section, option in options(block[2])
    }
    named |= {(found[1], found[2]) for code in inline(doc) if (found := re.match(r"\[(\w+).*?\] (\w+)", code))}
    assert named <= KNOWN
    bare = {found[1] for code in inline(doc) if (found := re.match(r"(\w+) =", code))}
    assert bare <= {option for _, option in KNOWN}


@each_doc
def test_every_variable_stands_for_an_option_of_config_ini(doc: Path) -> None:
    known = {re.sub(r"[^A-Z0-9]", "_", f"CTICACHE_{section}_{option}".upper()) for section, option in CONFIGURED}
    said = re.findall(r"CTICACHE_[A-Z0-9]\w+(?![\w<])", DOCS[doc])
    assert set(environment.given(dict.fromkeys(said, "tcp://10.0.0.1:8080"))) <= known


@each_doc
def test_every_metric_is_exposed(doc: Path) -> None:
    named = set(re.findall(r"\bcticache_[a-z_]+", DOCS[doc])) - {"cticache_process_"}  # which stands for all of them
    assert named <= set(re.findall(r"\bcticache_\w+", EXPOSED))


def test_every_metric_has_its_row_in_the_list_of_troubles() -> None:
    rows = "".join(re.findall(r"^\| (`cticache_[^|]+) \|", DOCS[ROOT / "docs" / "troubles.md"], re.MULTILINE))
    named = set(re.findall(r"cticache_\w+", rows))
    assert {f"cticache_{counter.metric}_total" for counter in COUNTERS} <= named
    families = set(re.findall(r"^# TYPE (cticache_\w+)", EXPOSED, re.MULTILINE))
    assert {name for name in families - named if not name.startswith("cticache_process_")} == set()


def test_every_figure_of_a_pool_is_in_the_operators_table() -> None:
    figures = PoolStats.of([0] * 8, [], [], []).figures()
    assert figures.keys() <= set(inline(ROOT / "docs" / "troubles.md"))


def test_what_readyz_says_while_redis_is_away_is_in_the_list_of_troubles() -> None:
    said = set(inline(ROOT / "docs" / "troubles.md"))
    for found in (AWAY, SILENT, UNKNOWN):
        assert re.split("[:,]", found.says)[0] in said
    rows = dict(re.findall(r"^\| `([A-Z]+)` \| (.+?) \|", DOCS[ROOT / "docs" / "troubles.md"], re.MULTILINE))
    assert rows.keys() == REFUSALS.keys()
