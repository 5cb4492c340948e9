"""The second reader agrees with the table and with the third reader of the tests, and knows every word there is."""

import ast
import importlib
import json
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_oracle import Oracle
from policy_strategies import (
    CLASSES,
    COUNTRIES,
    DAYS,
    GROUPS,
    NOW,
    TENANTS,
    fleet,
    job,
    jobs,
    links,
    rule_sets,
    sites,
    sources,
)
from test_exceptions import exceptions

from csched import shipped
from csched.domain.site import Evidence
from csched.formats.fleet import read_fleet
from csched_policies import second_look, second_look_answers
from csched_policies.load import load_sources
from csched_policies.second_look import SecondLook
from csched_policies.second_look_answers import UNKNOWN
from csched_policies.second_look_way import Way
from csched_policies.vocabulary import LEVELS, OPERATORS, VOCABULARY, Kind

HEAD = {
    "version": 1,
    "because": "a contract",
    "owner": "dpo@example.eu",
    "review_by": "2027-05-01",
    "enforce": "hard",
    "mode": "enforce",
}


PARTS = ("answers", "facts", "way")
ONE = job({"job": "j", "gpus": 1, "time_limit_s": 1})


def test_it_shares_no_code_with_the_first_reader() -> None:
    own = {"csched_policies.second_look", *(f"csched_policies.second_look_{part}" for part in PARTS)}
    for name in own:
        tree = ast.parse(Path(str(importlib.import_module(name).__file__)).read_text())
        imported = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
        assert {module for module in imported if module.startswith("csched_policies")} <= own, name


@settings(max_examples=150, deadline=None)
@given(st.data(), rule_sets(levels=("hard", "overridable", "advisory")), jobs(), st.integers(0, 50 * 24))
def test_it_says_what_a_third_reader_says_and_never_contradicts_the_table(data, rules, columns, hours) -> None:
    liftable = [rule for rule in rules if rule["enforce"] == "overridable"]
    drawn = data.draw(st.lists(exceptions(liftable), max_size=2)) if liftable else []
    written = [{"id": f"e{number}", **each} for number, each in enumerate(drawn)]
    facts = data.draw(st.lists(sites(), min_size=2, max_size=2))
    files = {**sources(rules), **{f"exceptions/{each['id']}.yaml": json.dumps(each) for each in written}}
    joined = data.draw(links(2))
    places = [{**each, "id": f"s{number}"} for number, each in enumerate(facts)]
    where, one, oracle = fleet(facts, joined), job(columns), Oracle(GROUPS, TENANTS, written, places, joined)
    looked, end = SecondLook(files), NOW + timedelta(hours=hours)
    any_applied = any(rule["mode"] == "enforce" and rule["enforce"] != "advisory" for rule in rules)
    for number, verdict in enumerate(load_sources(files).screen([one], where, NOW)[one.job]):
        objections = looked.objections(one, where, verdict.site, NOW, end)
        site = {**facts[number], "id": verdict.site}
        assert (objections == ()) == oracle.allows_until(rules, columns, site, NOW, end), objections
        in_time = verdict.latest_end is None or end <= verdict.latest_end
        if verdict.allowed and in_time and not any(ban.forbids(NOW) for ban in verdict.bans):
            assert objections == ()
        if not verdict.allowed:
            assert objections
        assert (
            any_applied or any(columns.get(name) for name in columns if name.startswith("requires_")) or not objections
        )


HOME_STATED = ["sites[0]", "sites[0].country", "sites[1].operator.adequacy", "links[0]"]


@settings(max_examples=150, deadline=None)
@given(st.data(), rule_sets(most=1), jobs(), sites(), st.sampled_from(COUNTRIES))
def test_it_objects_to_nothing_that_the_table_allows_while_somebody_vouches(data, rules, columns, facts, home) -> None:
    """Data of s0 moves to s1; who vouches for the facts of either, or for the link, does so until some day."""
    operator = data.draw(st.sampled_from(["in", "not_in"]))
    path = data.draw(st.sampled_from(["transfer.from_country", "tenant.country"]))
    named = data.draw(st.lists(st.sampled_from([*COUNTRIES, "@adequate(GDPR)"]), min_size=1, max_size=2, unique=True))
    rules[0]["when"] = {path: {operator: named}}
    stated = data.draw(st.dictionaries(st.sampled_from(HOME_STATED), st.sampled_from(DAYS), min_size=1, max_size=2))
    evidence = {at: Evidence(source="x", valid_until=f"{day}T00:00:00Z") for at, day in stated.items()}
    where = fleet([{"country": home}, facts], data.draw(links(2))).model_copy(update={"evidence": evidence})
    policies, end = load_sources(sources(rules)), NOW + timedelta(hours=data.draw(st.sampled_from([1, 240, 960])))
    one = job({**columns, "data_site": "s0", "data_gb": 100.0})
    _, verdict = policies.screen([one], where, NOW)[one.job]
    in_time = verdict.latest_end is None or end <= verdict.latest_end
    if verdict.allowed and in_time and not any(ban.forbids(NOW) for ban in verdict.bans):
        assert SecondLook(policies.sources()).objections(one, where, "s1", NOW, end) == ()


@pytest.mark.parametrize("path", VOCABULARY)
def test_it_knows_every_fact_and_every_operator(path: str) -> None:
    """A word that only one of the two can read would stop every job that it is about."""
    attribute = VOCABULARY[path]
    value: object = {
        Kind.COUNTRY: "FR",
        Kind.COUNTRIES: ["FR"],
        Kind.NUMBER: 3,
        Kind.TRUTH: True,
        Kind.CERTIFICATES: [{"scheme": "hds", "valid_until": "2030-01-01"}],
        Kind.NAME: "uni-lyon",
        Kind.NAMES: ["x"],
    }.get(attribute.kind, [attribute.values[0]] if attribute.kind is Kind.WORDS else (attribute.values or [None])[0])
    operands = {"has": {"scheme": "hds"}, "in": [value], "not_in": [value], "subset": value, "disjoint": value}
    looked = SecondLook({"facts/tenants.yaml": json.dumps({value: {} for value in ["uni-lyon"]})})
    if attribute.kind in {Kind.CLOCK, Kind.QUOTA}:
        return  # judged below, by what they make of a start and of a month
    for operator in OPERATORS[attribute.kind]:
        operand = operands.get(operator, value)
        scene = second_look._Scene({}, {}, NOW, Way({}, {"id": "s0"}, {"sites": []}), NOW)
        assert looked._compare(path, operator, value, operand, scene) != UNKNOWN


@pytest.mark.parametrize("path", [path for path, attribute in VOCABULARY.items() if attribute.of_site])
def test_it_finds_every_fact_of_a_site(path: str) -> None:
    """Told apart by taking the fact away: with it, the clause is met; without it, it is not."""
    facts = {
        "country": "FR",
        "storage_countries": ["FR"],
        "control_plane_country": "FR",
        "operator": {
            "country": "FR",
            "ultimate_parent_country": "FR",
            "compellable_by": ["FR"],
            "non_eu_capital_single_pct": 3,
            "non_eu_capital_total_pct": 3,
            "kind": "private_eu",
            "adequacy": ["dpf-eu-us"],
        },
        "support": {"countries": ["FR"]},
        "personnel": {"location": "EEA", "citizenship": "EEA"},
        "certs": [{"scheme": "hds", "valid_until": "2030-01-01"}],
        "seal": {f"sov-{number}": 3 for number in range(1, 9)},
        "ual": 3,
        "spe": True,
        "confidential": {"cpu_tee": "tdx", "gpu_cc": "on", "attested": True},
        "keys": "provider",
        "tenancy": "shared",
        "civilian_only": True,
        "energy_metering": "measured",
    }
    looked = SecondLook({"r.yaml": json.dumps({"id": "r", **HEAD, "require": {path: {}}})})
    assert looked.objections(ONE, fleet([facts]), "s0", NOW, NOW) == ()
    known = {"site.id", "site.grid_zone", "site.pue"}
    refused = looked.objections(ONE, fleet([{}]), "s0", NOW, NOW)
    assert bool(refused) == (path not in known)


def test_it_orders_levels_as_the_first_reader_does() -> None:
    assert {str(scheme): levels for scheme, levels in LEVELS.items()} == second_look_answers.LEVELS


def test_what_it_cannot_read_it_objects_to() -> None:
    where = fleet([{"country": "FR"}])
    for require in (
        {"site.weather": {"in": ["mild"]}},
        {"site.country": {"near": ["FR"]}},
        {"site.country": {"in": ["@X"]}},
    ):
        looked = SecondLook({"r.yaml": json.dumps({"id": "r", **HEAD, "require": require})})
        assert looked.objections(ONE, where, "s0", NOW, NOW), require
    assert SecondLook({}).objections(ONE, where, "s0", NOW, NOW)
    sound = SecondLook({"r.yaml": json.dumps({"id": "r", **HEAD, "require": {"site.country": {"in": ["FR"]}}})})
    assert sound.objections(ONE, where, "s0", NOW, NOW) == ()
    assert sound.objections(ONE, where, "elsewhere", NOW, NOW)


def test_it_looks_at_every_instant_until_the_limit() -> None:
    evidence = {"site.certs": {"has": {"scheme": "hds"}}}
    looked = SecondLook({"r.yaml": json.dumps({"id": "r", **HEAD, "require": evidence})})
    where, end = fleet([{"certs": [{"scheme": "hds", "valid_until": "2026-12-01"}]}]), NOW + timedelta(days=9)
    assert looked.objections(ONE, where, "s0", NOW, end) == ()
    (objection,) = looked.objections(ONE, where, "s0", NOW, end + timedelta(seconds=1))
    assert objection == "rule r is not met at 2026-12-01T00:00:00Z: site.certs"


@pytest.mark.parametrize(
    ("stated", "counts"), [("operator", False), ("operator.country", False), ("country", True), ("", False)]
)
def test_it_counts_a_fact_no_longer_than_somebody_vouches_for_it(stated: str, counts: bool) -> None:
    looked = SecondLook({"r.yaml": json.dumps({"id": "r", **HEAD, "require": {"site.operator.country": {"eq": "FR"}}})})
    path = f"sites[0].{stated}".removesuffix(".")
    vouched = {path: Evidence(source="x", valid_until=NOW + timedelta(days=1))}
    where = fleet([{"operator": {"country": "FR"}}]).model_copy(update={"evidence": vouched})
    assert looked.objections(ONE, where, "s0", NOW, NOW + timedelta(days=1)) == ()
    assert bool(looked.objections(ONE, where, "s0", NOW, NOW + timedelta(days=1, seconds=1))) != counts


SHIPPED = sorted([*shipped.policy_library().glob("*.yaml"), *shipped.policy_packs().glob("*.yaml")])


@pytest.mark.parametrize("file", SHIPPED, ids=[file.stem for file in SHIPPED])
def test_the_readers_agree_on_every_shipped_rule(file: Path) -> None:
    """At every site of the shipped fleets, for jobs of every tenant and class of data, that end soon and late."""
    tenants = (shipped.policy_library().parent / "facts/tenants.yaml").read_text()
    policies = load_sources({file.name: file.read_text(), "facts/tenants.yaml": tenants})
    looked, owners = SecondLook(policies.sources()), [None, *policies.content.tenants]
    kinds = list(product(owners, [None, *CLASSES], [1, 24 * 400]))
    crowd = [
        job({"job": f"j{number}", "gpus": 8, "time_limit_s": 3600 * hours, "tenant": owner, "data_class": data_class})
        for number, (owner, data_class, hours) in enumerate(kinds)
    ]
    for where in (read_fleet(shipped.demo_fleet()), read_fleet(shipped.fleets() / "eu-2026.yaml")):
        for one, row in zip(crowd, policies.screen(crowd, where, NOW).values(), strict=True):
            end = NOW + timedelta(seconds=one.time_limit_s)
            for verdict in row:
                allowed = verdict.allowed and (verdict.latest_end is None or end <= verdict.latest_end)
                objections = looked.objections(one, where, verdict.site, NOW, end)
                assert allowed == (objections == ()), (one, verdict, objections)
