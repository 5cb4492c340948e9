"""The shipped rules: their cases hold, they speak of their source and limits, and they do not contradict each other."""

from datetime import UTC, datetime

import pytest
from policy_strategies import NOW, fleet, job

from csched import shipped
from csched.domain.verdict import ReasonCode
from csched.errors import InputError
from csched.formats.fleet import read_fleet
from csched.formats.jobs import read_jobs
from csched_policies.cases import run_cases
from csched_policies.contradictions import find_conflicts
from csched_policies.load import load_policies, load_sources
from csched_policies.policy_set import PolicySet

IDS = ["health-fr-hds", "personal-eea-or-adequacy", "special-no-us-reach", "tenant-country"]


@pytest.fixture(scope="module")
def library() -> PolicySet:
    return load_policies(shipped.policy_library())


def test_the_library_has_its_rules(library: PolicySet) -> None:
    assert [rule.id for rule in library.rules] == IDS


@pytest.mark.parametrize("year", [2020, 2026, 2035])
def test_every_case_holds_whenever_the_tests_are_run(library: PolicySet, year: int) -> None:
    outcomes = run_cases(library, None, datetime(year, 6, 1, tzinfo=UTC))
    assert [outcome for outcome in outcomes if not outcome.passed] == []


@pytest.mark.parametrize("rule_id", IDS)
def test_each_rule_has_a_case_for_every_clause_it_can_fail_by(library: PolicySet, rule_id: str) -> None:
    rule = next(rule for rule in library.rules if rule.id == rule_id)
    denied = {case.clause for case in rule.text.tests if case.expect == "deny"}
    assert {clause.path for clause in rule.clauses} <= denied | {"data.class"}
    assert any(case.expect == "allow" for case in rule.text.tests)


@pytest.mark.parametrize("rule_id", IDS)
def test_each_rule_names_its_limits(library: PolicySet, rule_id: str) -> None:
    rule = next(rule for rule in library.rules if rule.id == rule_id)
    assert "Not legal advice" in (rule.text.limits or "")


def test_the_library_does_not_contradict_itself(library: PolicySet) -> None:
    assert find_conflicts(library.content, None, NOW) == ()
    assert find_conflicts(library.content, read_fleet(shipped.demo_fleet()), NOW) == ()


def test_every_job_of_the_demo_that_has_a_label_has_a_site(library: PolicySet) -> None:
    verdicts = library.screen(read_jobs(shipped.example_jobs()), read_fleet(shipped.demo_fleet()), NOW)
    nowhere = [job_id for job_id, row in verdicts.items() if not any(verdict.allowed for verdict in row)]
    assert nowhere == ["unlabelled"]


def test_a_job_without_a_data_class_is_refused_everywhere(library: PolicySet) -> None:
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60, "tenant": "acme"})
    row = library.screen([one], read_fleet(shipped.demo_fleet()), NOW)["j"]
    assert not any(verdict.allowed for verdict in row)
    assert {reason.code for verdict in row for reason in verdict.denials} == {ReasonCode.POLICY_UNKNOWN_FACT}
    assert {reason.clause for verdict in row for reason in verdict.denials} == {"data.class"}


CASES = """\
id: r
version: 1
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: {enforce}
mode: enforce
require: {{site.country: {{in: [FR]}}, site.spe: {{eq: true}}}}
tests:
  - {case}
"""


@pytest.mark.parametrize("enforce", ["hard", "overridable", "advisory"])
@pytest.mark.parametrize(
    ("case", "passed"),
    [
        ("{site: {country: FR, spe: true}, expect: allow}", True),
        ("{site: {country: FR, spe: true}, expect: deny}", False),
        ("{site: {country: FR, spe: true}, expect: allow, until: 2027-05-01}", False),
        ("{site: {country: FR, spe: false}, expect: deny}", True),
        ("{site: {country: FR, spe: false}, expect: deny, clause: site.spe}", True),
        ("{site: {country: FR, spe: false}, expect: deny, clause: site.country}", False),
        ("{site: {country: FR, spe: false}, expect: allow}", False),
        ("{site: {country: FR}, expect: deny, clause: site.spe}", True),
        ("{site: s0, expect: allow}", True),
        ("{site: s1, expect: deny, clause: site.country}", True),
    ],
)
def test_a_case_is_judged_by_verdict_and_clause(enforce: str, case: str, passed: bool) -> None:
    loaded = load_sources({"r.yaml": CASES.format(enforce=enforce, case=case)})
    two = fleet([{"country": "FR", "spe": True}, {"country": "DE", "spe": True}])
    assert [outcome.passed for outcome in run_cases(loaded, two, NOW)] == [passed]


def test_a_case_for_a_site_needs_a_fleet_that_has_it() -> None:
    loaded = load_sources({"r.yaml": CASES.format(enforce="hard", case="{site: s7, expect: allow}")})
    with pytest.raises(InputError, match="there is no fleet"):
        run_cases(loaded, None, NOW)
    with pytest.raises(InputError, match="`s7` is not a site") as refused:
        run_cases(loaded, fleet([{}]), NOW)
    assert refused.value.where is not None
    assert refused.value.where.line == 10
