"""`prefer` ranks the sites that are allowed: it opens none, closes none, moves no start and changes no figure."""

import pytest
from hypothesis import given, settings
from policy_strategies import NOW, fleet, job, jobs, policies, rule_sets, sites

from csched.cycle import decide
from csched.domain.snapshot import SolveBudget
from csched.testing import builders
from csched_policies.cases import run_cases
from csched_policies.load import load_sources

HEAD = {"version": 1, "because": "a contract", "owner": "dpo@example.eu", "review_by": "2027-05-01"}
LINKS = [
    {"between": ["s0", "s1"], "gbit_per_s": 0.1, "eur_per_gb": 0.5},
    {"between": ["s0", "s2"], "gbit_per_s": 0.2},
]
SEALS = [{f"sov-{n}": level for n in range(1, 9)} for level in (4, 2, 1)]


def rule(prefer, **more):
    return {
        "id": "r",
        **HEAD,
        "enforce": "hard",
        "mode": "enforce",
        "require": {"site.country": {"in": ["FR", "DE"]}},
        "prefer": prefer,
        **more,
    }


def points(prefer, facts, columns=None, **more):
    """Points of each site, and what was seen there."""
    one = job({"job": "j", "gpus": 8, "time_limit_s": 60, **(columns or {})})
    row = policies([rule(prefer, **more)]).screen([one], fleet(facts, LINKS[: len(facts) - 1]), NOW)["j"]
    return [round(verdict.points, 6) for verdict in row], [[each.seen for each in v.preferences] for v in row]


THREE = [{"country": "FR", "seal": SEALS[0]}, {"country": "FR", "seal": SEALS[1]}, {"country": "US", "seal": SEALS[2]}]


def test_the_best_of_the_fleet_has_all_points_the_worst_none() -> None:
    assert points({"site.seal.score": {"maximise": 2}}, THREE) == ([2.0, 0.666667, 0.0], [[4.0], [2.0], [1.0]])
    assert points({"site.seal.score": {"minimise": 2}}, THREE)[0] == [0.0, 1.333333, 2.0]


def test_what_is_not_known_earns_nothing_and_equals_are_equal() -> None:
    unknown = [THREE[0], {"country": "FR"}, THREE[0]]
    assert points({"site.seal.score": {"minimise": 2}}, unknown)[0] == [2.0, 0.0, 2.0]
    assert points({"site.seal.score": {"maximise": 2}}, [*unknown[:2], THREE[1]])[0] == [2.0, 0.0, 0.0]


def test_jobs_of_whom_a_preference_means_something_else_are_not_taken_for_one_another() -> None:
    liked = {"site.country": {"in": ["@tenant.country"], "weight": 1}}
    crowd = [job({"job": each, "gpus": 8, "time_limit_s": 60, "tenant": each}) for each in ("acme", "clinic")]
    rows = policies([rule(liked)]).screen(crowd, fleet([{"country": "DE"}, {"country": "FR"}]), NOW)
    assert [[verdict.points for verdict in rows[each]] for each in ("acme", "clinic")] == [[1.0, 0.0], [0.0, 1.0]]
    moved = [
        {**each.model_dump(), "data_site": home, "data_gb": 9.0} for each, home in zip(crowd, ("s0", "s1"), strict=True)
    ]
    faster = policies([rule({"transfer.gbit_per_s": {"maximise": 1}})])
    rows = faster.screen([job(each) for each in moved], fleet(THREE, LINKS), NOW)
    assert [[verdict.points for verdict in rows[each]] for each in ("acme", "clinic")] == [[0, 0, 1], [1, 0, 0]]


def test_a_comparison_has_its_weight_where_it_is_met() -> None:
    prefer = {"site.country": {"in": ["FR"], "not_in": ["US"], "weight": 1.5}}
    assert points(prefer, [*THREE[:1], {"country": None}, THREE[2]])[0] == [1.5, 0.0, 0.0]


def test_data_is_near_where_it_rests_and_the_nearer_the_better() -> None:
    prefer = {"near_data": {"weight": 3, "max_transfer_h": 6, "cost_eur_per_gb": 0.1}}
    columns = {"data_site": "s0", "data_gb": 180.0}  # 4 h to s1, 2 h to s2
    found, seen = points(prefer, THREE, columns)
    assert found == [3.0, 1.0, 2.0]
    assert seen == [["nothing moves"], ["4 h, 90.00 EUR"], ["2 h, 18.00 EUR"]]
    assert points(prefer, THREE, {**columns, "data_gb": 900.0})[0] == [3.0, 0.0, 0.0]
    assert (
        points(prefer, [*THREE, {"country": "DE"}][::-1][:1] + THREE[:1], {"data_site": "s1", "data_gb": 9.0})[0][1]
        == 3.0
    )


def test_a_job_whose_data_is_nowhere_has_no_near_site() -> None:
    prefer = {"near_data": {"weight": 3, "max_transfer_h": 6}}
    assert points(prefer, THREE, {"data_gb": 9.0}) == ([0.0] * 3, [[None]] * 3)


def test_only_rules_that_are_for_the_job_and_in_force_prefer() -> None:
    prefer = {"site.seal.score": {"maximise": 2}}
    health = {"data.class": {"in": ["health"]}}
    assert points(prefer, THREE, {"data_class": "health"}, when=health)[0][0] == 2.0
    assert points(prefer, THREE, {"data_class": "public"}, when=health)[0] == [0.0] * 3
    assert points(prefer, THREE, {}, when=health)[0] == [0.0] * 3
    assert points(prefer, THREE, mode="audit")[0] == [0.0] * 3
    assert points(prefer, THREE, enforce="advisory")[0][0] == 2.0


def test_cases_say_how_much_a_site_is_preferred() -> None:
    case = {"site": {"country": "FR", "seal": SEALS[1]}, "expect": "allow", "preferred": 2, "now": "2026-11-22"}
    text = rule({"site.seal.score": {"maximise": 2}})
    for stated, passed in ((2, True), (1, False)):
        (outcome,) = run_cases(policies([{**text, "tests": [{**case, "preferred": stated}]}]), None, NOW)
        assert outcome.passed is passed
        assert outcome.got == "allow, preferred with 2 points"


@given(rules=rule_sets(), columns=jobs(), facts=sites())
@settings(max_examples=30, deadline=None)
def test_a_preference_changes_no_verdict(rules, columns, facts) -> None:
    one, where = job(columns), fleet([facts, {"country": "FR"}])
    liking = {"site.ual": {"maximise": 1}, "near_data": {"weight": 1, "max_transfer_h": 6}}
    plain = policies(rules).screen([one], where, NOW)[one.job]
    liked = policies([{**each, "prefer": liking} for each in rules]).screen([one], where, NOW)[one.job]
    assert tuple(verdict.model_copy(update={"preferences": ()}) for verdict in liked) == plain


@pytest.mark.parametrize("weight", [0.1, 1000])
def test_no_weight_moves_a_start_or_a_figure(weight: float) -> None:
    where = builders.fleet(builders.site("dirty", zone="DE"), builders.site("clean", zone="FR"))
    seen = builders.snapshot([builders.job()], fleet=where, carbon={"DE": 500.0, "FR": 20.0})
    plain, liking = (
        load_sources({"r.yaml": str(rule({"site.country": {"in": ["DE"], "weight": weight}}) if liked else rule({}))})
        for liked in (False, True)
    )
    first, second = (decide(seen, each, SolveBudget(seconds=None, work=1)) for each in (plain, liking))
    assert first.placements == second.placements
    assert first.cost_kg == second.cost_kg
