"""The table says what the contract says, and no loss of knowledge ever opens a site."""

import copy
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_oracle import Oracle, Scene, applied
from policy_strategies import DAYS, GROUPS, NOW, TENANTS, fleet, job, jobs, policies, rule_sets, sites

from csched.domain.verdict import ReasonCode, SiteVerdict

FACTS = [
    ("country",),
    ("operator",),
    ("operator", "compellable_by"),
    ("operator", "adequacy"),
    ("storage_countries",),
    ("support", "countries"),
    ("certs",),
    ("seal",),
    ("seal", "sov-2"),
    ("seal", "sov-7"),
    ("ual",),
    ("spe",),
    ("keys",),
]
LABELS = ["data_class", "tenant", "portable", "data_site", "outputs_kind", "outputs_return_to", "outputs_export"]
HOME = {"country": "DE", "id": "s1"}
LINKS = [{"between": ["s0", "s1"], "gbit_per_s": 0.1, "eur_per_gb": 0.02, "encrypted": "ipsec", "countries": ["CH"]}]
"""Data that rests at s1, beside the site that is judged, takes a little over two hours to it."""


def oracle_of(facts: dict[str, Any]) -> Oracle:
    return Oracle(GROUPS, TENANTS, places=[{**facts, "id": "s0"}, HOME], links=LINKS)


def verdict(rules: list[dict[str, Any]], columns: dict[str, Any], facts: dict[str, Any], **more: Any) -> SiteVerdict:
    one = job(columns)
    return policies(rules, **more).screen([one], fleet([facts, HOME], LINKS), NOW)[one.job][0]


def not_larger(less: SiteVerdict, more: SiteVerdict) -> bool:
    """Whatever interval `less` allows, `more` allows too."""
    if not less.allowed:
        return True
    if not more.allowed:
        return False
    if not set(more.bans) <= set(less.bans):
        return False
    return more.latest_end is None or (less.latest_end is not None and less.latest_end <= more.latest_end)


@given(rules=rule_sets(), columns=jobs(), facts=sites(), days=st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_the_table_agrees_with_a_plain_reading_of_the_contract(rules, columns, facts, days) -> None:
    end = NOW + timedelta(days=days)
    found = verdict(rules, columns, facts)
    oracle = oracle_of(facts)
    expected = {
        (rule["id"], clause): answer
        for rule in rules
        if applied(rule)
        for clause, answer in oracle.failing(rule, columns, facts, NOW).items()
    }
    codes = {"deny": ReasonCode.POLICY_HARD_DENY, "unknown": ReasonCode.POLICY_UNKNOWN_FACT}
    denials = [r for r in found.denials if r.code is not ReasonCode.POLICY_CONTRADICTION]
    own = {path for path, test in oracle.demands(columns) if not oracle.compare(path, test, Scene(columns, facts, NOW))}
    assert {r.clause for r in denials if r.rule == "job.requires"} == own
    denials = [r for r in denials if r.rule != "job.requires"]
    assert {(r.rule, r.clause) for r in denials} == set(expected)
    for (rule_id, clause), answer in expected.items():
        assert codes[answer] in {r.code for r in denials if (r.rule, r.clause) == (rule_id, clause)}
    remarked = [rule for rule in rules if not applied(rule)]
    advised = {(rule["id"], clause) for rule in remarked for clause in oracle.failing(rule, columns, facts, NOW)}
    advised |= {(rule["id"], clause) for rule in remarked for clause in oracle.timed(rule, columns, facts, NOW)}
    assert {(r.rule, r.clause) for r in found.advice} == advised
    allowed = found.allowed and (found.latest_end is None or end <= found.latest_end)
    allowed = allowed and not any(ban.forbids(NOW) for ban in found.bans)
    assert allowed == oracle.allows_until(rules, columns, facts, NOW, end)


@given(rules=rule_sets(), columns=jobs(), facts=sites(), fact=st.sampled_from(FACTS))
@settings(max_examples=80, deadline=None)
def test_a_fact_that_is_deleted_never_opens_a_site(rules, columns, facts, fact) -> None:
    poorer = copy.deepcopy(facts)
    inner = poorer
    for step in fact[:-1]:
        inner = inner.get(step) or {}
    inner.pop(fact[-1], None)
    assert not_larger(verdict(rules, columns, poorer), verdict(rules, columns, facts))


@given(rules=rule_sets(), columns=jobs(), facts=sites(), label=st.sampled_from(LABELS))
@settings(max_examples=50, deadline=None)
def test_a_label_that_is_deleted_never_opens_a_site(rules, columns, facts, label) -> None:
    assert not_larger(verdict(rules, {**columns, label: None}, facts), verdict(rules, columns, facts))


@given(rules=rule_sets(), columns=jobs(), facts=sites(), tenant=st.sampled_from(sorted(TENANTS)))
@settings(max_examples=50, deadline=None)
def test_facts_of_a_tenant_that_are_deleted_never_open_a_site(rules, columns, facts, tenant) -> None:
    poorer = {**TENANTS, tenant: {}}
    assert not_larger(verdict(rules, columns, facts, tenants=poorer), verdict(rules, columns, facts))


@given(rules=rule_sets(), more=rule_sets(most=1), columns=jobs(), facts=sites())
@settings(max_examples=50, deadline=None)
def test_a_rule_that_is_added_never_opens_a_site(rules, more, columns, facts) -> None:
    longer = [*rules, {**more[0], "id": "added"}]
    assert not_larger(verdict(longer, columns, facts), verdict(rules, columns, facts))


@given(rules=rule_sets(), columns=jobs(), facts=sites(), shorter=st.sampled_from(DAYS))
@settings(max_examples=80, deadline=None)
def test_a_certificate_that_ends_earlier_never_opens_a_site(rules, columns, facts, shorter) -> None:
    older = copy.deepcopy(facts)
    for certificate in older["certs"] or []:
        if certificate["valid_until"] and certificate.get("valid_from", "0") < shorter:
            certificate["valid_until"] = min(shorter, certificate["valid_until"])
    assert not_larger(verdict(rules, columns, older), verdict(rules, columns, facts))


@given(
    rules=rule_sets(),
    crowd=st.lists(jobs(), max_size=5),
    columns=jobs(),
    facts=st.lists(sites(), min_size=1, max_size=3),
)
@settings(max_examples=30, deadline=None)
def test_neither_other_jobs_nor_other_sites_change_a_verdict(rules, crowd, columns, facts) -> None:
    """But for the home site, the first: what leaves it is judged by where it leaves."""
    loaded = policies(rules)
    fewest = [facts[:1], *([facts[0], each] for each in facts[1:])]
    alone = [loaded.screen([job(columns)], fleet(few), NOW)[columns["job"]][-1] for few in fewest]
    others = [job({**each, "job": f"other{number}"}) for number, each in enumerate(crowd)]
    together = loaded.screen([*others, job(columns)], fleet(facts), NOW)[columns["job"]]
    assert [(v.allowed, v.latest_end) for v in together] == [(v.allowed, v.latest_end) for v in alone]


@given(rules=rule_sets(), columns=jobs(), facts=sites(), later=st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_kept_table_says_what_a_fresh_one_says(rules, columns, facts, later) -> None:
    one, site, kept = job(columns), fleet([facts]), policies(rules)
    for days in [0, *later, 0]:
        now = NOW + timedelta(days=days)
        assert kept.screen([one], site, now) == policies(rules).screen([one], site, now)


@given(rules=rule_sets(), columns=jobs(), facts=sites())
@settings(max_examples=30, deadline=None)
def test_every_reason_names_site_rule_clause_and_need(rules, columns, facts) -> None:
    found = verdict(rules, columns, facts)
    for reason in (*found.denials, *found.advice, *filter(None, [found.latest_end_reason])):
        assert reason.site == "s0"
        assert reason.rule in {"job.requires", *(rule["id"] for rule in rules)}
        assert reason.clause is not None
        assert reason.needed is not None
        assert str(reason.rule) in reason.message or "the job itself" in reason.message
        assert not reason.message.endswith(".")
    assert (found.latest_end is None) == (found.latest_end_reason is None)
