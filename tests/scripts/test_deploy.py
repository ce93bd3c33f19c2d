"""scripts/deploy: what Prometheus, Grafana and Zabbix ask for is exposed, and every rule tells what it is there for."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cticache.data.condition import Condition
from cticache.data.replies import FailedLogins, PoolStats
from cticache.journal.counts import Counts, Sums
from cticache.operate.attention import Attention, WatchRules
from cticache.operate.metrics import Processes, Seen, exposition
from kit.checkout import CHECKOUT, ROOT
from kit.samples import user

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)
if sys.platform == "win32":
    pytest.skip(
        "Prometheus runs on another machine than the service, and there is no promtool here", allow_module_level=True
    )

import yaml

from kit.prometheus import DEPLOY, RULES, promtool

CASES = DEPLOY / "prometheus" / "alerts_test.yml"
OF_TARGETS = {"job", "instance"}
SELECTOR = re.compile(r"\b(?:cticache_\w+|up)\b(?:\{(.*?)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"")


def exposed() -> dict[str, set[str]]:
    """Sample -> its labels, of everything that the service may expose."""
    counts, sums = Counts(), Sums()
    counts.answered("/cticache/DNIS-ANI", "POST", 201, 0.01)
    sums.add(counts.told(1, os.getpid(), {}, {"connections": 1, "redis_servers_away": 0}))
    seen = Seen(
        stats={"sales": PoolStats.of([0] * 8, [], [], ["ivr", 1])},
        failed_logins=FailedLogins(0, {"ivr": 1}),
        names_users=True,
        is_up=True,
        condition=Condition(),
        sums=sums,
        processes=Processes(pids={"parent": os.getpid(), "1": os.getpid()}),
        limits={"connections": 400},
        users=[user("ivr")],
        attention=[Attention("number", "WARN", "sales", "Nobody picks it up.")],
    )
    labels: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(exposition(seen).decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


EXPOSED = exposed()


@cache
def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return group["rules"]  # type: ignore[no-any-return]


def panels() -> list[dict[str, Any]]:
    return dashboard()["panels"]  # type: ignore[no-any-return]


@cache
def dashboard() -> dict[str, Any]:
    return json.loads((DEPLOY / "grafana" / "cticache.json").read_text("utf-8"))  # type: ignore[no-any-return]


@cache
def export() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "zabbix" / "cticache.yaml").read_text("utf-8"))["zabbix_export"]  # type: ignore[no-any-return]


def template() -> dict[str, Any]:
    (only,) = export()["templates"]
    return only  # type: ignore[no-any-return]


def zabbix_items() -> list[dict[str, Any]]:
    (pools,) = template()["discovery_rules"]
    return [*template()["items"], pools, *pools["item_prototypes"]]


def zabbix_triggers() -> list[dict[str, Any]]:
    of_items = [
        each for item in zabbix_items() for each in item.get("triggers", []) + item.get("trigger_prototypes", [])
    ]
    return [*export()["triggers"], *of_items]


def expressions() -> Iterator[tuple[str, str]]:
    """Everything that names a metric, and where."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in dashboard()["templating"]["list"]:
        yield variable["name"], variable.get("definition", "")
    for item in zabbix_items():
        for step in item.get("preprocessing", []):
            if step["type"].startswith("PROMETHEUS"):
                yield item["name"], step["parameters"][0]


def wrong(expression: str) -> Iterator[str]:
    """What the service does not expose."""
    known = set(OF_TARGETS)
    for found in SELECTOR.finditer(expression):
        name = found[0].partition("{")[0]
        if name not in EXPOSED:
            yield name
            continue
        known |= EXPOSED[name]
        yield from (f"{name}: {label}" for label in set(LABEL.findall(found[1] or "")) - EXPOSED[name] - OF_TARGETS)
    for listed in re.findall(r"\b(?:by|without|on|ignoring) \((.*?)\)", expression):
        yield from set(re.findall(r"\w+", listed)) - known


def test_every_metric_and_label_that_is_named_is_exposed() -> None:
    named = list(expressions())
    assert len(named) > 100
    assert {where: found for where, expression in named if (found := list(wrong(expression)))} == {}


@pytest.mark.parametrize(
    "expression",
    ["cticache_leased_total", 'cticache_leases_total{user="x"}', "sum without (worker) (cticache_leases_total)"],
)
def test_what_is_not_exposed_is_told(expression: str) -> None:
    assert list(wrong(expression))


def test_promtool_finds_no_fault_and_every_case_is_told_as_it_should_be() -> None:
    said = promtool("check", "config", "--lint-fatal", str(DEPLOY / "prometheus" / "prometheus.yml"))
    assert f"SUCCESS: {len(rules())} rules found" in said
    assert "SUCCESS" in promtool("test", "rules", str(CASES))


def test_every_rule_is_told_in_a_case_in_which_nothing_was_told_before() -> None:
    told = set()
    for case in yaml.safe_load(CASES.read_text("utf-8"))["tests"]:
        before, *looks = case["promql_expr_test"]
        if "exp_samples" not in before:
            samples = [sample["labels"] for look in looks for sample in look.get("exp_samples", [])]
            told |= {name for sample in samples for name in re.findall(r'alertname="(\w+)"', sample)}
    assert told == {rule["alert"] for rule in rules()}


def test_every_rule_says_what_is_wrong_and_what_to_do_and_leads_to_a_heading() -> None:
    for rule in rules():
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert_is_heading(rule["annotations"]["runbook"])
        assert int(rule.get("for", "0s").removesuffix("s")) <= 30, "with a scrape and an evaluation it is a minute"


def assert_is_heading(link: str) -> None:
    path, _, anchor = link.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, link


def test_the_operators_table_has_every_rule() -> None:
    text = (ROOT / "docs" / "operate.md").read_text("utf-8")
    rows = re.findall(r"^\| `(Cticache\w+)` \|", text, re.MULTILINE)
    assert rows == [rule["alert"] for rule in rules()]


def test_thresholds_are_those_of_the_watch() -> None:
    watch = WatchRules()
    by_name = {rule["alert"]: " ".join(rule["expr"].split()) for rule in rules()}
    assert by_name["CticachePoolCrit"].endswith(f"> {watch.crit / 100}")
    assert f"> {watch.missed / 100} and" in by_name["CticacheAniChanged"]
    assert f">= {watch.unclaimed} and" in by_name["CticacheNobodyAsks"]
    assert by_name["CticacheWrongPasswords"].endswith(f"> {watch.logins}")
    assert by_name["CticacheScanner"].endswith(f"> {watch.strangers}")
    macros = {each["macro"]: each.get("value") for each in template()["macros"]}
    for name, value in (("POOL.FULL", watch.crit), ("MISSED", watch.missed), ("LOGINS", watch.logins)):
        assert macros[f"{{$CTICACHE.{name}}}"] == str(value)


def test_the_dashboard_has_panels_of_grafana_alone_on_the_source_that_is_chosen() -> None:
    assert {panel["type"] for panel in panels()} == {"row", "stat", "timeseries", "bargauge"}
    assert unique(panel["id"] for panel in panels())
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        if panel["type"] != "row":
            assert panel["datasource"] == chosen
            assert panel["fieldConfig"]["overrides"] == []
            assert unique(target["refId"] for target in panel["targets"])
            assert all(target["datasource"] == chosen for target in panel["targets"])
    assert [each["name"] for each in dashboard()["templating"]["list"]] == ["datasource", "job", "pool"]


def test_no_two_panels_of_the_dashboard_lie_on_one_another() -> None:
    for one, other in combinations([panel["gridPos"] for panel in panels()], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert one["x"] + one["w"] <= 24


def test_every_legend_of_the_dashboard_has_its_label() -> None:
    for panel in panels():
        for target in panel.get("targets", []):
            labels = OF_TARGETS.union(
                *(EXPOSED.get(found[0].partition("{")[0], set()) for found in SELECTOR.finditer(target["expr"]))
            )
            kept = re.findall(r"\bby \((.*?)\)", target["expr"])
            if kept:
                labels &= {label for listed in kept for label in re.findall(r"\w+", listed)}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, target


def test_every_item_of_zabbix_is_known_once_and_taken_from_the_metrics() -> None:
    items, triggers = zabbix_items(), zabbix_triggers()
    assert unique(item["key"] for item in items)
    (master,) = (item for item in items if item["type"] == "HTTP_AGENT")
    for item in items:
        if item is not master:
            assert (item["type"], item["delay"], item["master_item"]) == ("DEPENDENT", "0", {"key": master["key"]})
    identified = [*items, *triggers, template(), *export()["groups"]]
    assert unique(each["uuid"] for each in identified)
    assert all(re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", each["uuid"]) for each in identified)


def test_every_trigger_of_zabbix_is_of_items_and_macros_that_are_there() -> None:
    keys = {item["key"] for item in zabbix_items()}
    macros = {each["macro"] for each in template()["macros"]}
    triggers = zabbix_triggers()
    assert unique(each["name"] for each in triggers)
    for trigger in triggers:
        named = re.findall(r"/cticache by HTTP/([\w.]+(?:\[[^]]*\])?)", trigger["expression"])
        assert named
        assert set(named) <= keys
        for link in re.findall(r"docs/[\w.]+#[\w-]+", trigger["description"]):
            assert_is_heading(link)
        assert "docs/" in trigger["description"]
    text = (DEPLOY / "zabbix" / "cticache.yaml").read_text("utf-8")
    assert set(re.findall(r"\{\$[A-Z.]+\}", text)) == macros


def unique(found: Iterable[object]) -> bool:
    listed = list(found)
    return len(listed) == len(set(listed))
