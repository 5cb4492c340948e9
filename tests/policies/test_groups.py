"""Groups of countries are dated: who counts depends on the day, and a condition must be known to hold."""

from datetime import UTC, datetime
from typing import Any

import pytest
from policy_strategies import fleet, job

from csched import shipped
from csched.domain.base import ISO_COUNTRIES
from csched.domain.verdict import ReasonCode, SiteVerdict
from csched_policies.load import load_policies, load_sources
from csched_policies.operators import Countries
from csched_policies.vocabulary import Law

RULE = """\
id: r
version: 1
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: hard
mode: enforce
require: {site.country: {%s}}
"""


def at(day: str, comparison: str, tenant: str = "firm", **site: Any) -> SiteVerdict:
    tenants = "firm: {law: GDPR}\nswiss: {law: FADP}\nboth: {law: [GDPR, FADP]}\nnone: {law: []}\n"
    loaded = load_sources({"r.yaml": RULE % comparison, "facts/tenants.yaml": tenants})
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60, "tenant": tenant})
    return loaded.screen([one], fleet([site]), datetime.fromisoformat(f"{day}T00:00:00+00:00"))["j"][0]


def test_the_shipped_groups_are_distinct() -> None:
    groups = load_policies(shipped.policy_library()).content.groups
    now = datetime(2026, 11, 22, tzinfo=UTC)
    union, area, efta = (groups.possible(name, now) for name in ("EU27", "EEA", "EFTA"))
    assert len(union) == 27
    assert area - union == {"IS", "LI", "NO"}
    assert efta - area == {"CH"}
    assert not groups.possible("adequate(GDPR)", now) & area
    assert area <= groups.possible("adequate(FADP)", now)
    for group in groups.by_name.values():
        assert group.sources
        countries = [member.country for member in group.members]
        assert len(countries) == len(set(countries))
        assert set(countries) <= ISO_COUNTRIES
    for law in Law:
        assert {f"adequate({law})", f"territory({law})"} <= groups.by_name.keys()


@pytest.mark.parametrize(
    ("country", "day", "allowed"),
    [
        ("CH", "2026-11-22", True),
        ("BR", "2026-01-25", False),
        ("BR", "2026-01-26", True),
        ("GB", "2031-12-26", True),
        ("GB", "2031-12-27", False),
        ("US", "2026-11-22", False),
        ("CA", "2026-11-22", False),
        ("IN", "2026-11-22", False),
        ("FR", "2026-11-22", False),
    ],
)
def test_adequacy_has_dates_and_conditions(country: str, day: str, allowed: bool) -> None:
    assert at(day, 'in: ["@adequate(GDPR)"]', country=country).allowed is allowed


def test_a_decision_that_ends_bounds_the_job() -> None:
    found = at("2026-11-22", 'in: ["@adequate(data.law)"]', country="GB")
    assert found.latest_end == datetime(2031, 12, 27, tzinfo=UTC)
    assert found.latest_end_reason is not None
    assert found.latest_end_reason.clause == "site.country"
    assert at("2026-11-22", 'in: ["@adequate(data.law)"]', country="CH").latest_end is None


def test_a_negative_clause_is_bounded_by_the_day_on_which_a_member_joins() -> None:
    found = at("2026-01-01", 'not_in: ["@adequate(GDPR)"]', country="BR")
    assert found.latest_end == datetime(2026, 1, 26, tzinfo=UTC)


def test_a_condition_counts_only_where_it_is_known_to_hold() -> None:
    comparison = 'in: ["@adequate(GDPR)"]'
    assert at("2026-11-22", comparison, country="US", operator={"adequacy": ["dpf-eu-us"]}).allowed
    assert not at("2026-11-22", comparison, country="US", operator={"adequacy": ["dpf-swiss-us"]}).allowed
    unknown = at("2026-11-22", comparison, country="US")
    assert unknown.denials[0].code is ReasonCode.POLICY_HARD_DENY
    assert "dpf-eu-us" in unknown.denials[0].message


def test_a_condition_that_might_hold_is_not_ruled_out() -> None:
    comparison = 'not_in: ["@adequate(GDPR)"]'
    assert not at("2026-11-22", comparison, country="US").allowed
    assert at("2026-11-22", comparison, country="US", operator={"adequacy": []}).allowed
    both = 'not_in: ["@adequate(data.law)", "@adequate(GDPR)"]'
    assert at("2026-11-22", both, "stranger", country="US").denials[0].code is ReasonCode.POLICY_HARD_DENY


def test_the_tenants_law_picks_the_list() -> None:
    comparison = 'in: ["@adequate(data.law)"]'
    assert at("2026-11-22", comparison, country="KR").allowed
    assert not at("2026-11-22", comparison, "swiss", country="KR").allowed
    assert not at("2026-11-22", comparison, "both", country="KR").allowed
    assert at("2026-11-22", comparison, "both", country="IL").allowed


@pytest.mark.parametrize("tenant", ["stranger", "none"])
def test_without_a_law_no_list_is_picked_and_fixed_countries_still_count(tenant: str) -> None:
    found = at("2026-11-22", 'in: ["@adequate(data.law)"]', tenant, country="CH")
    assert [reason.code for reason in found.denials] == [ReasonCode.POLICY_UNKNOWN_FACT]
    assert "data.law" in found.denials[0].message
    assert at("2026-11-22", 'in: ["@EEA", "@adequate(data.law)"]', tenant, country="FR").allowed
    assert not at("2026-11-22", 'not_in: ["@adequate(data.law)"]', tenant, country="IN").allowed


def test_a_country_of_the_tenant_that_nobody_stated_is_unknown_and_not_another() -> None:
    for comparison in ('in: ["@tenant.country"]', 'not_in: ["@tenant.country"]', 'in: ["@tenant.contract_locations"]'):
        found = at("2026-11-22", comparison, "stranger", country="CH")
        assert [reason.code for reason in found.denials] == [ReasonCode.POLICY_UNKNOWN_FACT]


def test_a_rule_for_a_dated_group_already_binds_jobs_that_may_run_into_it() -> None:
    text = RULE % "in: [FR]" + 'when: {tenant.country: {in: ["@adequate(GDPR)"]}}\n'
    sources = {"r.yaml": text, "facts/tenants.yaml": "rio: {country: BR}\noslo: {country: 'NO'}\nbath: {country: GB}\n"}
    before, after = datetime(2026, 1, 1, tzinfo=UTC), datetime(2031, 12, 27, tzinfo=UTC)
    loaded, site = load_sources(sources), fleet([{"country": "DE"}])

    def allowed(tenant: str, now: datetime) -> bool:
        one = job({"job": "j", "gpus": 1, "time_limit_s": 60, "tenant": tenant})
        return loaded.screen([one], site, now)["j"][0].allowed

    assert not allowed("rio", before)
    assert allowed("oslo", before)
    assert not allowed("bath", before)
    assert allowed("bath", after)


def test_a_list_of_countries_reads_no_more_than_decides_what_it_means() -> None:
    covered = {"site.operator.adequacy"}
    assert Countries(frozenset({"FR"})).reads == set()
    assert Countries(frozenset(), groups=("EEA",)).reads == covered
    assert Countries(frozenset(), by_law=("adequate",)).reads == covered | {"data.law"}
    assert Countries(frozenset(), facts=("tenant.country",)).reads == {"tenant.country"}


@pytest.mark.parametrize(("country", "allowed"), [("FR", True), ("DE", True), ("NO", False)])
def test_a_contract_names_several_countries(country: str, allowed: bool) -> None:
    """`@tenant.contract_locations` stands for each of them, as `@tenant.country` does for one."""
    text = RULE_OF_CONTRACT % "'@tenant.contract_locations'"
    loaded = load_sources({"r.yaml": text, "facts/tenants.yaml": "acme: {contract_locations: [FR, DE]}"})
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60, "tenant": "acme"})
    verdict = loaded.screen([one], fleet([{"country": country}]), datetime(2026, 11, 22, tzinfo=UTC))["j"][0]
    assert verdict.allowed == allowed
    words = f"site.country is {country}, and rule r needs one of @tenant.contract_locations (FR DE)"
    assert [reason.message for reason in verdict.denials] == ([] if allowed else [words])


RULE_OF_CONTRACT = """\
id: r
version: 1
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: hard
mode: enforce
require: {site.country: {in: [%s]}}
"""
