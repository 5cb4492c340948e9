"""The cases written beside a rule: facts, the verdict that is expected of this rule alone, and the clause that denies.

What a case says is checked when the rule is loaded; a typo in a case would otherwise test nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isclose
from typing import Any, Final

from pydantic import ValidationError

from csched.clock import format_instant
from csched.domain.site import Fleet, Site
from csched.domain.verdict import SiteVerdict
from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean, input_error
from csched.units import SECONDS_PER_HOUR
from csched_policies.facts import Tenant, label_facts, site_facts
from csched_policies.judging import Judge
from csched_policies.parsing import read_label
from csched_policies.policy_content import Content
from csched_policies.policy_set import PolicySet
from csched_policies.reading import Place
from csched_policies.rule import Case, Rule
from csched_policies.shares import exceeded
from csched_policies.table import Table
from csched_policies.vocabulary import VOCABULARY

_INVENTED: Final[Mapping[str, object]] = {
    "id": "inline",
    "grid_zone": "ZZ",
    "pue": None,
    "partitions": [{"name": "any", "hardware": "any", "nodes": 0}],
}
"""What a site must have to be one, but a case need not say; none of it is a fact."""


@dataclass(frozen=True)
class Outcome:
    """How one case went."""

    rule: str
    number: int
    where: Where
    expected: str
    got: str
    passed: bool
    denied_by: frozenset[str]
    """Paths of the clauses that said no."""


@dataclass(frozen=True)
class _Site:
    site: Site
    unknown: frozenset[str]
    """Facts that were only invented to make it a site."""


def check_cases(rule: Rule) -> None:
    """Read every inline fact of the rule's cases.

    Raises:
        InputError: an unknown key, or a value that the fact cannot have.
    """
    for index, case in enumerate(rule.text.tests):
        place = Place(rule.document, ("tests", index))
        _labels(case, place, {})
        if not isinstance(case.site, str):
            _inline(case.site, place.inner("site"))


def run_cases(policies: PolicySet, fleet: Fleet | None, now: datetime) -> tuple[Outcome, ...]:
    """Every case of every rule, each judged by its rule alone; `now` is for cases that name no time.

    Raises:
        InputError: a case names a site and there is no fleet, or not one with such a site.
    """
    return tuple(
        _run(rule, index, policies.content, fleet, now)
        for rule in policies.rules
        for index in range(len(rule.text.tests))
    )


def _run(rule: Rule, index: int, content: Content, fleet: Fleet | None, now: datetime) -> Outcome:
    case, place = rule.text.tests[index], Place(rule.document, ("tests", index))
    found = _named(case.site, fleet, place) if isinstance(case.site, str) else _inline(case.site, place.inner("site"))
    alone = Fleet.model_construct(sites=(found.site,))
    at = case.now or now
    table = Table([rule], content.groups, content.tenants, alone, at, unknown=found.unknown)
    labels = _labels(case, place, content.tenants)
    verdict = table.row(labels)[0]
    denying = _denying(verdict, case)
    if not denying and case.used is not None:
        judge, hours = Judge([rule], content.groups, (), at), _gpu_h(case, labels, place)
        if judge.applies(rule, labels):
            over = exceeded(rule, case.used, hours, found.site.country, judge)
            denying = tuple(clause.path for clause in over)
    return Outcome(
        rule=rule.id,
        number=index + 1,
        where=place.where,
        expected=_expected(case),
        got=_said(verdict, denying, case),
        passed=_agrees(case, verdict, denying),
        denied_by=frozenset(denying),
    )


def _gpu_h(case: Case, labels: Mapping[str, Any], place: Place) -> float:
    """What the case's job adds to a month's hours."""
    gpus, limit_s = labels.get("job.gpus"), labels.get("job.time_limit_s")
    if gpus is None or limit_s is None:
        raise InputError(
            "`used` needs a job of known size",
            hint="give it job.gpus and job.time_limit_s",
            where=place.inner("job").where if case.job else place.where,
        )
    return float(gpus) * float(limit_s) / SECONDS_PER_HOUR


def clauses_without_case(policies: PolicySet, outcomes: Sequence[Outcome]) -> tuple[tuple[str, str], ...]:
    """(rule, clause) of every clause that no case of its rule has seen say no: nothing shows that it works."""
    seen = {(outcome.rule, path) for outcome in outcomes for path in outcome.denied_by}
    asked = dict.fromkeys((rule.id, clause.path) for rule in policies.rules for clause in rule.require)
    return tuple(pair for pair in asked if pair not in seen)


def _denying(verdict: SiteVerdict, case: Case) -> tuple[str, ...]:
    """Clauses that say no; those about hours only where the case says when the job starts."""
    said = [str(reason.clause) for reason in verdict.denials + verdict.advice]
    closed = [ban.clause for ban in verdict.bans if case.start is not None and ban.forbids(case.start)]
    return tuple(dict.fromkeys([*said, *closed]))


def _agrees(case: Case, verdict: SiteVerdict, denying: Sequence[str]) -> bool:
    """A rule that only advises or audits is judged by what it would have said."""
    if case.expect == "allow":
        in_time = case.until is None or case.until == verdict.latest_end
        return not denying and in_time and (case.preferred is None or isclose(case.preferred, verdict.points))
    return bool(denying) and (case.clause is None or case.clause in denying)


def _expected(case: Case) -> str:
    if case.expect == "deny":
        return f"deny by {case.clause}" if case.clause else "deny"
    return _allowed(case.until, case.preferred)


def _said(verdict: SiteVerdict, denying: Sequence[str], case: Case) -> str:
    if denying:
        return f"deny by {', '.join(denying)}"
    return _allowed(verdict.latest_end, None if case.preferred is None else verdict.points)


def _allowed(until: datetime | None, points: float | None) -> str:
    bound = f" until {format_instant(until)}" if until else ""
    return f"allow{bound}" + ("" if points is None else f", preferred with {points:g} points")


def _labels(case: Case, place: Place, tenants: Mapping[str, Tenant]) -> dict[str, Any]:
    """The case's labels; what it does not say of a tenant that facts/tenants.yaml knows comes from there."""
    named = {path: read_label(path, raw, place.inner("job").inner(path)) for path, raw in case.job.items()}
    law = {"data.law": named["tenant.law"]} if "tenant.law" in named else {}
    lasts = named.get("transfer.duration_h")
    lead_s = lasts * SECONDS_PER_HOUR if isinstance(lasts, float) else None
    way = {} if lead_s is None else dict.fromkeys(("transfer.start", "transfer.hours"), lead_s)
    stated = {VOCABULARY[path].fact: value for path, value in named.items()}
    return {**label_facts({"tenant": named.get("tenant.id")}, tenants), **law, **way, **stated}


def _named(site_id: str, fleet: Fleet | None, place: Place) -> _Site:
    if fleet is None:
        raise InputError(
            f"the case names the site `{site_id}`, and there is no fleet",
            hint="give --fleet, or write the facts in place: {country: FR}",
            where=place.inner("site").where,
        )
    known: Sequence[str] = [site.id for site in fleet.sites]
    if site_id not in known:
        raise InputError(
            f"`{site_id}` is not a site of this fleet",
            hint=did_you_mean(site_id, known),
            where=place.inner("site").where,
        )
    return _Site(fleet.site(site_id), frozenset())


def _inline(facts: Mapping[str, Any], place: Place) -> _Site:
    invented = {name: value for name, value in _INVENTED.items() if name not in facts}
    try:
        site = Site.model_validate({**invented, **facts})
    except ValidationError as error:
        raise input_error(error, lambda path: place.document.where((*place.path, *path)), Site) from error
    return _Site(site, frozenset(f"site.{name}" for name in invented) & site_facts(site).keys())
