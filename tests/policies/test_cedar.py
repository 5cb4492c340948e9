"""Cedar, translated to rule by rule, gives every generated case the same verdict for the same reasons."""

from datetime import timedelta

from cedar_translation import HOURS, SEAL, TYPES, Engine
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from policy_oracle import Oracle, Scene
from policy_strategies import COUNTRIES, GROUPS, NOW, TENANTS, fleet, job, jobs, links, policies, rule_sets, sites

from csched.domain.verdict import ReasonCode

CASES = 20_000
JOBS, SITES = 8, 8
ANSWERS = {
    ReasonCode.JOB_CONSTRAINT: "deny",
    ReasonCode.POLICY_HARD_DENY: "deny",
    ReasonCode.POLICY_UNKNOWN_FACT: "unknown",
}


def site_facts(facts):
    """(facts by path, certificates) of a site as plain data."""
    operator, seal = facts["operator"], facts["seal"] or {}
    return {
        "site.country": facts["country"],
        "site.operator.compellable_by": operator["compellable_by"],
        "site.operator.adequacy": operator["adequacy"],
        "site.storage_countries": facts["storage_countries"],
        "site.support.countries": facts["support"]["countries"],
        "site.ual": facts["ual"],
        "site.spe": facts["spe"],
        "site.keys": facts["keys"],
        "site.tenancy": facts["tenancy"],
        **{f"site.confidential.{name}": known for name, known in facts["confidential"].items()},
        **{path: seal.get(path.removeprefix("site.seal.")) for path in SEAL},
    }, facts["certs"]


def job_facts(columns):
    tenant = TENANTS.get(columns["tenant"], {})
    law = tenant.get("law")
    return {
        "data.class": columns["data_class"],
        "data.gb": columns["data_gb"],
        "data.law": [law] if isinstance(law, str) else law,
        "tenant.id": columns["tenant"],
        "tenant.country": tenant.get("country"),
        "tenant.sector": tenant.get("sector"),
        "job.gpus": columns["gpus"],
        "job.portable": columns["portable"],
        "data.home_site": columns["data_site"],
        "job.outputs.kind": columns["outputs_kind"],
        "outputs.return_to": columns["outputs_return_to"],
        "outputs.export": columns["outputs_export"],
        "outputs.inherit_class": columns["outputs_inherit_class"] is None,
        "job.requires.confidential": columns.get("requires_confidential") or "none",
        "job.requires.tenancy": columns.get("requires_tenancy") or "shared",
        "job.requires.min_seal": columns.get("requires_min_seal") or 0,
        "job.requires.min_ual": columns.get("requires_min_ual") or 0,
    }


def way_facts(oracle, columns, place):
    """Facts of the way of a job's data to a site, as the third reader finds them."""
    scene = Scene(columns, place, NOW)
    moves = oracle.moves(scene)
    found = {"path.countries": oracle.path(scene), **({} if moves is None else {"transfer.moves": moves})}
    if moves:
        found |= {path: known for path, known in oracle.way(scene).items() if path in TYPES}
    return {path: known for path, known in found.items() if known is not None}


def said(reasons):
    """What the clauses say; that rules contradict each other is no clause's answer."""
    answers = {(reason.rule, reason.clause, ANSWERS[reason.code]) for reason in reasons if reason.code in ANSWERS}
    return {each for each in answers if each[1] not in HOURS or each[2] == "unknown"}


def compare(rules, crowd, places, joined, now):
    """Raises AssertionError at the first case in which the two differ; returns how many there were."""
    crowd = [{**columns, "job": f"j{number}"} for number, columns in enumerate(crowd)]
    verdicts = policies(rules).screen([job(columns) for columns in crowd], fleet(places, joined), now)
    named = [{**facts, "id": f"s{number}"} for number, facts in enumerate(places)]
    oracle = Oracle(GROUPS, TENANTS, places=named, links=joined)
    ways = {
        (j, s): way_facts(oracle, columns, place) for j, columns in enumerate(crowd) for s, place in enumerate(named)
    }
    cedar = Engine(rules, GROUPS, COUNTRIES, [*TENANTS, "stranger"])
    told = [job_facts(columns) for columns in crowd], [site_facts(facts) for facts in places], ways
    cases = [(j, s, now) for j in range(len(crowd)) for s in range(len(places))]
    applied, remarked = cedar.judge("run", cases, *told), cedar.judge("remark", cases, *told)
    bounds = {}
    for (j, s, _), (allowed, reasons), (_, advice) in zip(cases, applied, remarked, strict=True):
        found = verdicts[f"j{j}"][s]
        assert (found.allowed, said(found.denials)) == (allowed, reasons)
        assert said(found.advice) == advice
        if found.allowed and found.latest_end:
            bounds[j, s] = found.latest_end
    last = [(j, s, end - timedelta(seconds=1)) for (j, s), end in bounds.items()]
    first = [(j, s, end) for (j, s), end in bounds.items()]
    assert [reasons for _, reasons in cedar.judge("run", last, *told) if reasons] == []
    assert [case for case, (allowed, _) in zip(first, cedar.judge("run", first, *told), strict=True) if allowed] == []
    return len(cases)


def test_verdicts_and_reasons_equal_those_of_cedar() -> None:
    compared = 0

    @given(
        rules=rule_sets(),
        crowd=st.lists(jobs(), min_size=JOBS, max_size=JOBS),
        places=st.lists(sites(), min_size=SITES, max_size=SITES),
        joined=links(3),
        days=st.integers(-2, 50),
    )
    @settings(max_examples=CASES // (JOBS * SITES) + 1, deadline=None, phases=[Phase.generate])
    def check(rules, crowd, places, joined, days) -> None:
        nonlocal compared
        compared += compare(rules, crowd, places, joined, NOW + timedelta(days=days))

    check()
    assert compared >= CASES
