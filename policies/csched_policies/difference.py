"""What another set of rules would change: which jobs may no longer run at a site, which now may, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.domain.verdict import Reason, ReasonCode, SiteVerdict
from csched_policies.content_changes import ContentChange, content_changes
from csched_policies.demands import OF_JOB
from csched_policies.facts import COLUMN, label_facts
from csched_policies.judging import reason_of
from csched_policies.policy_content import Content
from csched_policies.policy_set import PolicySet
from csched_policies.share_changes import ShareChange, share_changes
from csched_policies.transfers import rests_on
from csched_policies.vocabulary import UNLESS_SAID, VOCABULARY, Kind

EXAMPLES: Final = 3
"""Jobs named for each class of jobs; all are counted."""

_Row = tuple[SiteVerdict, ...]


class Turn(StrEnum):
    CLOSED = "closed"
    """The site was allowed and is refused."""
    OPENED = "opened"
    BOUNDED = "bounded"
    """Allowed before and after, but until another instant."""
    HOURS = "hours"
    """Allowed before and after, but at other hours of the day."""
    PREFERRED = "preferred"
    """Allowed before and after in the same way, but for other points: advice, which excludes nothing."""


@dataclass(frozen=True)
class Cause:
    """One clause that decides otherwise than before, what it saw, and what each set needs."""

    rule: str
    clause: str
    seen: object
    needed_before: object
    """null where the old set has no such clause; points, where a site is only preferred otherwise."""
    needed_after: object
    because: tuple[str, ...]
    """What was changed: `rule added`, `group EEA changed`; empty where the facts alone explain it."""


@dataclass(frozen=True)
class SiteChange:
    site: str
    turn: Turn
    until_before: datetime | None
    until_after: datetime | None
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class ChangedClass:
    """Jobs with equal labels whose verdicts change alike."""

    labels: Mapping[str, object]
    """Words and names that a rule or exception of either set reads; numbers differ from job to job and are left out."""
    jobs: int
    examples: tuple[str, ...]
    sites_before: int
    sites_after: int
    """How many sites are allowed; 0 means that such jobs can run nowhere."""
    changes: tuple[SiteChange, ...]


@dataclass(frozen=True)
class Difference:
    content: tuple[ContentChange, ...]
    jobs: int
    decisions: int
    """Jobs times sites."""
    shares: tuple[ShareChange, ...]
    """What binds all jobs of a tenant together, so no job's verdict."""
    changed: tuple[str, ...]
    """Jobs with another verdict at one site or more, in the order of the file."""
    classes: tuple[ChangedClass, ...]
    """The largest first."""

    @property
    def stranded(self) -> int:
        """Jobs that had a site and have none."""
        return sum(each.jobs for each in self.classes if each.sites_before and not each.sites_after)

    @property
    def rescued(self) -> int:
        """Jobs that had no site and have one."""
        return sum(each.jobs for each in self.classes if each.sites_after and not each.sites_before)


@dataclass(frozen=True)
class _Turned:
    """What becomes of one row of verdicts."""

    sites_before: int
    sites_after: int
    changes: tuple[SiteChange, ...]


def compare(old: PolicySet, new: PolicySet, jobs: Sequence[Job], fleet: Fleet, now: datetime) -> Difference:
    """Judge every job by both sets as of `now`; jobs with equal labels are compared once."""
    before, after = old.screen(jobs, fleet, now), new.screen(jobs, fleet, now)
    turned = _Turns(old.content, new.content)
    columns, label_class = _label_class(old.content, new.content)
    members: dict[tuple[Any, int], list[str]] = {}
    changed: list[str] = []
    for job in jobs:
        number = turned.number(before[job.job], after[job.job])
        if number is not None:
            changed.append(job.job)
            members.setdefault((label_class(job), number), []).append(job.job)
    classes = [
        _class(_labels(columns, key, new.content), ids, turned.known[number]) for (key, number), ids in members.items()
    ]
    return Difference(
        content=content_changes(old.content, new.content),
        jobs=len(jobs),
        decisions=len(jobs) * len(fleet.sites),
        shares=share_changes(old.content, new.content, jobs, fleet, now),
        changed=tuple(changed),
        classes=tuple(sorted(classes, key=lambda each: -each.jobs)),
    )


class _Turns:
    """Each pair of rows is compared once; pairs that turn alike share a number."""

    def __init__(self, old: Content, new: Content) -> None:
        self._causes = _Causes(old, new)
        self._by_pair: dict[tuple[int, int], int | None] = {}
        self._numbers: dict[_Turned, int] = {}
        self.known: list[_Turned] = []

    def number(self, before: _Row, after: _Row) -> int | None:
        """Which of `known`; null where nothing changes. Rows are told apart by identity: the caller keeps them."""
        pair = (id(before), id(after))
        if pair not in self._by_pair:
            self._by_pair[pair] = self._compared(before, after)
        return self._by_pair[pair]

    def _compared(self, before: _Row, after: _Row) -> int | None:
        changes = tuple(filter(None, map(self._change, before, after)))
        if not changes:
            return None
        turned = _Turned(_allowed(before), _allowed(after), changes)
        if turned not in self._numbers:
            self._numbers[turned] = len(self.known)
            self.known.append(turned)
        return self._numbers[turned]

    def _change(self, before: SiteVerdict, after: SiteVerdict) -> SiteChange | None:
        turn = _turn(before, after)
        if turn is None:
            return None
        causes = tuple(self._causes.between(before, after, turn))
        return SiteChange(before.site, turn, before.latest_end, after.latest_end, causes)


def _turn(before: SiteVerdict, after: SiteVerdict) -> Turn | None:
    if before.allowed != after.allowed:
        return Turn.OPENED if after.allowed else Turn.CLOSED
    if not before.allowed:
        return None
    if before.latest_end != after.latest_end:
        return Turn.BOUNDED
    if set(before.bans) != set(after.bans):
        return Turn.HOURS
    return Turn.PREFERRED if before.preferences != after.preferences else None


class _Causes:
    """Which clauses decide otherwise, and what was changed about them."""

    def __init__(self, old: Content, new: Content) -> None:
        self._old, self._new = old, new
        self._rules = [{rule.id: rule for rule in content.rules} for content in (old, new)]

    def between(self, before: SiteVerdict, after: SiteVerdict, turn: Turn) -> Iterator[Cause]:
        if turn is Turn.PREFERRED:
            yield from self._liked(before, after)
            return
        was, now = _said(before, turn), _said(after, turn)
        for key in sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key)):
            rule, clause = key
            reason = was.get(key) or now[key]
            yield Cause(
                rule=rule,
                clause=clause,
                seen=reason.seen,
                needed_before=self._needed(0, key, was.get(key)),
                needed_after=self._needed(1, key, now.get(key)),
                because=tuple(self._because(rule, clause)),
            )

    def _liked(self, before: SiteVerdict, after: SiteVerdict) -> Iterator[Cause]:
        was, now = _points(before), _points(after)
        seen = {(each.rule, each.clause): each.seen for each in (*before.preferences, *after.preferences)}
        for key in sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key)):
            rule, clause = key
            yield Cause(rule, clause, seen[key], was.get(key), now.get(key), because=tuple(self._because(rule, clause)))

    def _needed(self, which: int, key: tuple[str, str], reason: Reason | None) -> object:
        """What the clause asks for, also where it is met and so gives no reason."""
        if reason is not None:
            return reason.needed
        rule = self._rules[which].get(key[0])
        asked = [clause.needed for clause in rule.clauses if clause.path == key[1]] if rule else []
        return ", ".join(asked) or None

    def _because(self, rule_id: str, path: str) -> Iterator[str]:
        before, after = (rules.get(rule_id) for rules in self._rules)
        if before is None or after is None:
            yield "rule added" if before is None else "rule removed"
            return
        if before.document.data != after.document.data:
            yield "rule changed"
        groups = (self._old.groups.by_name, self._new.groups.by_name)
        names = {name for rule in (before, after) for c in rule.clauses if c.path == path for name in c.group_names}
        for name in sorted(names):
            if groups[0].get(name) != groups[1].get(name):
                yield f"group {name} changed"
        if self._old.tenants != self._new.tenants:
            yield "tenants changed"
        if self._old.datasets != self._new.datasets:
            yield "datasets changed"
        exceptions = [
            [each.text for each in content.exceptions if each.text.rule.id == rule_id]
            for content in (self._old, self._new)
        ]
        if exceptions[0] != exceptions[1]:
            yield "exceptions changed"


def _said(verdict: SiteVerdict, turn: Turn) -> dict[tuple[str, str], Reason]:
    """Why not, or why only until an instant or at some hours: (rule, clause) -> reason. A contradiction only sums up
    the others."""
    bound = verdict.latest_end_reason
    limits = (*((bound,) if bound else ()), *(reason_of(ban, verdict.site) for ban in verdict.bans))
    reasons = limits if turn in {Turn.BOUNDED, Turn.HOURS} else verdict.denials
    own = (reason for reason in reasons if reason.code is not ReasonCode.POLICY_CONTRADICTION)
    return {(str(reason.rule), str(reason.clause)): reason for reason in own}


def _points(verdict: SiteVerdict) -> dict[tuple[str, str], float]:
    """(rule, clause) -> points."""
    found: dict[tuple[str, str], float] = {}
    for each in verdict.preferences:
        found[each.rule, each.clause] = found.get((each.rule, each.clause), 0.0) + each.points
    return found


def _allowed(row: _Row) -> int:
    return sum(verdict.allowed for verdict in row)


def _label_class(old: Content, new: Content) -> tuple[list[str], Callable[[Job], Any]]:
    """Columns of the words and names that any rule reads, and how to take them from a job."""
    reads = {path for content in (old, new) for rule in content.rules for path in rule.reads}
    reads |= {path for content in (old, new) for exemption in content.exceptions for path in exemption.reads}
    asked = rests_on(frozenset(reads)) | set(OF_JOB)
    words = {path for path in asked & COLUMN.keys() if VOCABULARY[path].kind is not Kind.NUMBER}
    named = {"datasets"} if old.datasets or new.datasets else set()
    columns = sorted({COLUMN[path] for path in words} | named)
    if not columns:
        return [], lambda _job: ()
    get = attrgetter(*columns)
    return columns, get if len(columns) > 1 else lambda job: (get(job),)


def _labels(columns: Sequence[str], values: Sequence[Any], content: Content) -> dict[str, object]:
    """What is known of such jobs, by path; a tenant's facts follow from the tenant and are left out."""
    facts = label_facts(dict(zip(columns, values, strict=True)), {})
    asked = {path: value for path, value in facts.items() if COLUMN.get(path) in columns}
    named = {path: value for path, value in asked.items() if path == "tenant.id" or COLUMN[path] != "tenant"}
    tenant = content.tenants.get(named.get("tenant.id") or "")
    sector = {"tenant.sector": str(tenant.sector)} if tenant and tenant.sector else {}
    return {path: value for path, value in {**named, **sector}.items() if value not in {None, UNLESS_SAID.get(path)}}


def _class(labels: Mapping[str, object], ids: Sequence[str], turned: _Turned) -> ChangedClass:
    return ChangedClass(
        labels=labels,
        jobs=len(ids),
        examples=tuple(ids[:EXAMPLES]),
        sites_before=turned.sites_before,
        sites_after=turned.sites_after,
        changes=turned.changes,
    )
