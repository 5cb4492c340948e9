"""Shares of a tenant's GPU-hours: what a rule asks for becomes a row of the placement problem; a plan keeps to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import COUNTRIES, NOW, TENANTS, job, sources

from csched.cycle import decide
from csched.domain.snapshot import SolveBudget, Usage
from csched.testing import builders
from csched_policies.cases import run_cases
from csched_policies.load import load_sources
from csched_policies.second_look import SecondLook

HEAD = {"version": 1, "because": "a contract", "owner": "dpo@example.eu", "review_by": "2027-05-01"}


def rule(percent=20, outside=("DE",), when=None, enforce="hard", mode="enforce", **more):
    share = {"at_most_pct": percent, "outside": list(outside), "per": "month"}
    text = {"id": "share", **HEAD, "enforce": enforce, "mode": mode, "require": {"tenant.gpu_hours": share}, **more}
    return {**text, "when": when} if when else text


def month(jobs, where, usage=()):
    told = [Usage(tenant=tenant, site=site, gpu_h=hours) for tenant, site, hours in usage]
    carbon = builders.outlook({"FR": 100.0}, start=NOW)
    return builders.snapshot(jobs, fleet=where, carbon=carbon, usage=told).model_copy(update={"now": NOW})


def places(*countries):
    """A fleet with one site for each country."""
    return builders.fleet(*(builders.site(f"s{n}", country=country) for n, country in enumerate(countries)))


SITES = places("DE", "FR", None)
USAGE = [("acme", "s0", 60.0), ("acme", "s1", 30.0), ("acme", "gone", 10.0), ("lab", "s1", 5.0)]


def jobs(*owners):
    return [job({"job": f"j{n}", "gpus": 8, "time_limit_s": 3600, "tenant": each}) for n, each in enumerate(owners)]


def test_a_row_counts_hours_outside_and_hours_in_all() -> None:
    """A site whose country is unknown and one that has left the fleet are not surely inside."""
    loaded = load_sources(sources([rule(when={"tenant.id": {"in": ["acme"]}})]))
    (row,) = loaded.quotas(month(jobs("acme", "lab", None, "acme"), SITES, USAGE))
    assert (row.rule, row.clause, row.tenant, row.because) == ("share", "tenant.gpu_hours", "acme", "a contract")
    assert (row.jobs, row.sites, row.share) == (("j0", "j3"), ("s1", "s2"), 0.2)
    assert (row.used_gpu_h, row.total_gpu_h) == (40.0, 100.0)


@pytest.mark.parametrize("only_told", [{"enforce": "advisory"}, {"mode": "audit"}])
def test_what_is_only_reported_makes_no_row(only_told) -> None:
    assert load_sources(sources([rule(**only_told)])).quotas(month(jobs("acme"), SITES)) == ()


def test_a_job_of_nobody_is_refused_because_no_share_would_count_it() -> None:
    loaded = load_sources(sources([rule()]))
    one, other = jobs(None, "acme")
    screened = loaded.screen([one, other], SITES, NOW)
    assert [(r.rule, r.clause) for r in screened["j0"][0].denials] == [("share", "tenant.gpu_hours")]
    assert all(verdict.allowed for verdict in screened["j1"])


@given(
    rules=st.lists(
        st.builds(
            rule,
            percent=st.integers(0, 100),
            outside=st.lists(
                st.sampled_from([*COUNTRIES, "@UNION", "@AREA", "@adequate(GDPR)"]), min_size=1, unique=True
            ),
            when=st.none()
            | st.fixed_dictionaries({"tenant.sector": st.fixed_dictionaries({"in": st.just(["health", "finance"])})})
            | st.fixed_dictionaries({"tenant.country": st.fixed_dictionaries({"not_in": st.just(["@UNION"])})}),
            enforce=st.sampled_from(["hard", "advisory"]),
            mode=st.sampled_from(["enforce", "enforce", "audit"]),
        ),
        min_size=1,
        max_size=3,
    ),
    countries=st.lists(st.none() | st.sampled_from(COUNTRIES), min_size=1, max_size=4),
    owners=st.lists(st.sampled_from([None, "stranger", *TENANTS]), min_size=1, max_size=5),
    usage=st.lists(
        st.tuples(
            st.sampled_from(["acme", "clinic", "lab"]), st.sampled_from(["s0", "s1", "gone"]), st.integers(0, 50)
        ),
        max_size=6,
    ),
)
@settings(max_examples=80, deadline=None)
def test_both_readers_find_the_same_rows(rules, countries, owners, usage) -> None:
    files = sources([{**each, "id": f"r{number}"} for number, each in enumerate(rules)])
    where, crowd = places(*countries), jobs(*owners)
    usage = [(tenant, site, float(hours)) for tenant, site, hours in usage]
    rows = load_sources(files).quotas(month(crowd, where, usage))
    found = {(row.rule, row.tenant, row.sites, row.share, row.used_gpu_h, row.total_gpu_h) for row in rows}
    assert found == set(SecondLook(files).shares(owners, where, usage, NOW))
    assert len(found) == len(rows)
    for row in rows:
        assert row.jobs == tuple(one.job for one in crowd if one.tenant == row.tenant)


def test_a_plan_keeps_to_the_share() -> None:
    """Paris is cleaner; a fifth of the hours may go there, so one of five alike jobs does."""
    sites = (builders.site("berlin", zone="DE", nodes=8), builders.site("paris", zone="FR", nodes=8))
    crowd = [builders.job(f"j{n}", tenant="acme") for n in range(5)]
    seen = builders.snapshot(crowd, fleet=builders.fleet(*sites), carbon={"DE": 500.0, "FR": 20.0})
    plan = decide(seen, load_sources(sources([rule()])), SolveBudget(seconds=None, work=1))
    placed = [placement.site for placement in plan.placements]
    assert sorted(placed) == ["berlin"] * 4 + ["paris"]


CASE = {"job": {"tenant.id": "acme", "job.gpus": 10, "job.time_limit_s": 3600}, "now": "2026-11-22"}


@pytest.mark.parametrize(
    ("site", "used", "expect"),
    [
        ("FR", {"DE": 80, "FR": 10}, "allow"),  # 20 of 100
        ("FR", {"DE": 79, "FR": 10}, "deny"),  # 20 of 99
        ("DE", {"DE": 10, "FR": 80}, "allow"),  # what comes inside breaks nothing
        (None, {"DE": 79, "FR": 10}, "deny"),
        ("FR", {"DE": 40}, "allow"),
    ],
)
def test_cases_say_what_a_month_looks_like(site, used, expect) -> None:
    case = {**CASE, "site": {"country": site}, "used": used, "expect": expect}
    case |= {"clause": "tenant.gpu_hours"} if expect == "deny" else {}
    (outcome,) = run_cases(load_sources(sources([rule(tests=[case])])), None, NOW)
    assert outcome.passed, outcome
    wrong = {**case, "expect": "allow" if expect == "deny" else "deny"}
    wrong.pop("clause", None)
    (outcome,) = run_cases(load_sources(sources([rule(tests=[wrong])])), None, NOW)
    assert not outcome.passed
