"""What an admin should look at although nothing is wrong: overdue reviews, evidence that ends, facts that disagree."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from csched.clock import format_instant
from csched.domain.site import Fleet
from csched_policies.facts import ends_of_evidence
from csched_policies.operators import Evidence
from csched_policies.policy_content import Content

SOON: Final = timedelta(days=90)


def remarks(content: Content, fleet: Fleet | None, now: datetime) -> tuple[str, ...]:
    """One line for each thing to look at, in a stable order."""
    found = [*_reviews(content, now), *_tenants(content), *_exceptions(content, now)]
    if fleet is not None:
        found += [*_evidence(content, fleet, now), *_facts(content, fleet, now), *_reach(fleet)]
    return tuple(found)


def _reviews(content: Content, now: datetime) -> Iterator[str]:
    for rule in content.rules:
        if rule.text.review_by < now.date():
            yield f"rule {rule.id}: its review was due on {rule.text.review_by}, ask {rule.text.owner}"


def _exceptions(content: Content, now: datetime) -> Iterator[str]:
    """Exceptions that do not count, or soon will not any more."""
    versions = {rule.id: rule.text.version for rule in content.rules}
    for exemption in content.exceptions:
        text = exemption.text
        if versions[text.rule.id] != text.rule.version:
            yield (
                f"exception {text.id}: it was approved for version {text.rule.version} of rule {text.rule.id}, "
                f"which is at version {versions[text.rule.id]}, so it does not count"
            )
        elif text.expires <= now:
            yield f"exception {text.id}: it ended on {format_instant(text.expires)}; take it out"
        elif now < exemption.since:
            yield f"exception {text.id}: it counts from {format_instant(exemption.since)} on"
        elif text.expires <= now + SOON:
            yield f"exception {text.id}: it ends on {format_instant(text.expires)}"


def _tenants(content: Content) -> Iterator[str]:
    """A tenant that a rule names and no fact does: perhaps a typo, and then the rule is for nobody."""
    if not content.tenants:
        return
    for rule in content.rules:
        for clause in rule.clauses:
            if clause.path == "tenant.id" and isinstance(clause.operand, frozenset):
                for name in sorted(clause.operand - content.tenants.keys()):
                    yield f"rule {rule.id}: tenant {name} is not in facts/tenants.yaml"


def _evidence(content: Content, fleet: Fleet, now: datetime) -> Iterator[str]:
    """Certificates that rules ask for and that have ended or soon will."""
    asked = {c.operand.scheme for rule in content.rules for c in rule.clauses if isinstance(c.operand, Evidence)}
    for site in fleet.sites:
        for certificate in site.certs or ():
            if certificate.scheme not in asked:
                continue
            until = certificate.valid_until
            if until is None:
                yield f"site {site.id}: its certificate {certificate.scheme} has no known end, so it does not count"
            elif until <= now:
                yield f"site {site.id}: its certificate {certificate.scheme} ended on {format_instant(until)}"
            elif until <= now + SOON:
                yield f"site {site.id}: its certificate {certificate.scheme} ends on {format_instant(until)}"


def _facts(content: Content, fleet: Fleet, now: datetime) -> Iterator[str]:
    """Facts that rules read and that nobody vouches for any more, or soon."""
    read = {path for rule in content.rules for path in rule.reads}
    for site, ends in zip(fleet.sites, ends_of_evidence(fleet), strict=True):
        for path in sorted(read & ends.keys()):
            if ends[path] <= now:
                yield f"site {site.id}: {path} counted until {format_instant(ends[path])} only"
            elif ends[path] <= now + SOON:
                yield f"site {site.id}: {path} is vouched for until {format_instant(ends[path])} only"


def _reach(fleet: Fleet) -> Iterator[str]:
    """Courts of an operator's own and its parent's country can compel it, whatever else the file says."""
    for site in fleet.sites:
        operator = site.operator
        if operator.compellable_by is None:
            continue
        own = {operator.country, operator.ultimate_parent_country} - {None, *operator.compellable_by}
        for country in sorted(str(code) for code in own):
            yield (
                f"site {site.id}: operator.compellable_by leaves out {country}, "
                "which is the operator's or its parent's own country"
            )
