"""Exceptions: for some jobs, at some sites and for a while, two people have set one overridable rule aside.

An exception only ever lifts the rule that it names, in the version that was approved. It counts from the day of the
last approval until it expires; what it lets through must have ended by then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from csched.clock import format_instant
from csched.domain.base import InstantOrDay, Slug, Value
from csched.domain.site import Fleet
from csched.domain.verdict import ExceptionUse, Reason, ReasonCode
from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean, input_error
from csched.formats.yaml_document import Document
from csched_policies.clause import Clause
from csched_policies.facts import Facts
from csched_policies.groups import Groups
from csched_policies.operators import Sight
from csched_policies.parsing import find_attribute, parse_clauses
from csched_policies.reading import Place
from csched_policies.rule import Enforce, Rule
from csched_policies.vocabulary import is_label

LONGEST: Final = timedelta(days=366)
"""From the last approval to the end; who needs longer asks again."""

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Approval(Value):
    name: _Name
    """Who approves, such as dpo@example.eu."""
    on: InstantOrDay


class RuleVersion(Value):
    id: Slug
    version: int = Field(ge=1, strict=True)


class ExceptionText(Value):
    """An exception as its YAML document has it; `whom` is still unread."""

    model_config = ConfigDict(title="csched policy exception")

    id: Slug
    ticket: _Name
    """Where it was asked for and discussed."""
    reason: _Text
    rule: RuleVersion
    whom: Mapping[str, Any] = Field(min_length=1)
    """Label path -> comparison, as in a rule's `when`; all must hold, and an unknown label does not."""
    sites: tuple[Slug, ...] = Field(min_length=1, max_length=1000)
    approved_by: tuple[Approval, ...] = Field(max_length=20)
    valid_from: InstantOrDay | None = None
    """Not before this day; else from the last approval on."""
    expires: InstantOrDay


@dataclass(frozen=True)
class Exemption:
    """An exception whose every word has been checked."""

    text: ExceptionText
    whom: tuple[Clause, ...]
    document: Document

    @cached_property
    def since(self) -> datetime:
        """An approval that lies ahead does not count yet."""
        days = [approval.on for approval in self.text.approved_by]
        return max([*days, self.text.valid_from] if self.text.valid_from else days)

    @property
    def until(self) -> datetime:
        return self.text.expires

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(path for clause in self.whom for path in clause.reads)

    def counts_for(self, rule: Rule) -> bool:
        return (rule.id, rule.text.version) == (self.text.rule.id, self.text.rule.version)

    def covers(self, labels: Facts, now: datetime) -> bool:
        """Whether it is in force at `now` and meant for such jobs."""
        sight = Sight(labels, _NO_GROUPS, now)
        return self.since <= now < self.until and all(clause.holds(sight) for clause in self.whom)

    def use(self, overridden: Sequence[Reason]) -> ExceptionUse:
        return ExceptionUse(
            exception=self.text.id,
            ticket=self.text.ticket,
            rule=self.text.rule.id,
            version=self.text.rule.version,
            reason=self.text.reason,
            approved_by=tuple(approval.name for approval in self.text.approved_by),
            until=self.until,
            overridden=tuple(overridden),
        )

    def end(self, site: str) -> Reason:
        """Why a job that it lets through must have ended by `until`."""
        until, text = format_instant(self.until), self.text
        return Reason(
            site=site,
            code=ReasonCode.POLICY_HARD_DENY,
            rule=text.rule.id,
            clause="exception",
            seen=text.id,
            needed=until,
            message=f"exception {text.id} ({text.ticket}) sets rule {text.rule.id} aside only until {until}",
        )


_NO_GROUPS: Final = Groups({})


def longest(exemptions: Iterable[Exemption]) -> Exemption | None:
    """Of several that cover a job, the one that ends last."""
    return max(exemptions, key=lambda exemption: (exemption.until, exemption.text.id), default=None)


def read_exceptions(
    documents: Iterable[Document], rules: Collection[Rule], fleet: Fleet | None
) -> tuple[Exemption, ...]:
    """All exceptions, in the order of their ids.

    Raises:
        InputError: with file, line and field; also for a rule that cannot be overridden, fewer than two approvers or
            an end too far away. One that has expired is read, for time passes; it only never counts.
    """
    by_rule = {rule.id: rule for rule in rules}
    found: dict[str, Exemption] = {}
    for document in documents:
        exemption = _read(document)
        if exemption.text.id in found:
            first = found[exemption.text.id].document.where(("id",))
            raise InputError(
                f"exception `{exemption.text.id}` is there twice, first in {first}", where=document.where(("id",))
            )
        _check_rule(exemption, by_rule)
        _check_approval(exemption)
        if fleet is not None:
            _check_sites(exemption, [site.id for site in fleet.sites])
        found[exemption.text.id] = exemption
    return tuple(found[name] for name in sorted(found))


def _read(document: Document) -> Exemption:
    if not isinstance(document.data, dict):
        raise InputError("a mapping with `id`, `rule`, `whom` and so on was expected", where=document.where())
    try:
        text = ExceptionText.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, ExceptionText) from error
    clauses: list[Clause] = []
    for path, comparison in text.whom.items():
        place = Place(document, ("whom", path))
        if not is_label(find_attribute(path, place.where).path):
            raise InputError(
                f"`{path}` is a fact about the site", hint="write the sites' ids under `sites`", where=place.where
            )
        _refuse_groups(comparison, place.where)
        clauses += parse_clauses(path, comparison, place, _NO_GROUPS)
    return Exemption(text, tuple(clauses), document)


def _refuse_groups(comparison: object, where: Where) -> None:
    """What groups and references stand for can change without anybody approving it."""
    operands = comparison.values() if isinstance(comparison, dict) else ()
    named = [item for operand in operands if isinstance(operand, list) for item in operand]
    for item in named:
        if str(item).startswith("@"):
            raise InputError(
                f"an exception names countries one by one, not `{item}`", hint="write [FR, DE]", where=where
            )


def _check_rule(exemption: Exemption, rules: Mapping[str, Rule]) -> None:
    name = exemption.text.rule.id
    rule = rules.get(name)
    if rule is None:
        raise InputError(
            f"there is no rule `{name}`",
            hint=did_you_mean(name, sorted(rules)),
            where=exemption.document.where(("rule", "id")),
        )
    if rule.text.enforce is not Enforce.OVERRIDABLE:
        raise InputError(
            f"rule `{name}` cannot be set aside: it is {rule.text.enforce}",
            hint="only rules with `enforce: overridable` have exceptions",
            where=exemption.document.where(("rule", "id")),
        )


def _check_approval(exemption: Exemption) -> None:
    text, where = exemption.text, exemption.document.where
    names = [approval.name.casefold() for approval in text.approved_by]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(
                f"`{text.approved_by[index].name}` approves twice",
                hint="two different people are needed",
                where=where(("approved_by", index, "name")),
            )
    if len(names) < 2:
        raise InputError("two different people must approve an exception", where=where(("approved_by",)))
    if text.expires <= exemption.since:
        raise InputError("`expires` must be later than the approvals and `valid_from`", where=where(("expires",)))
    last = max(approval.on for approval in text.approved_by)
    if text.expires > last + LONGEST:
        raise InputError(
            f"an exception ends at most {LONGEST.days} days after its last approval",
            hint=f"the last day is {format_instant(last + LONGEST)}; renew it with new approvals",
            where=where(("expires",)),
        )


def _check_sites(exemption: Exemption, known: Sequence[str]) -> None:
    for index, site in enumerate(exemption.text.sites):
        if site not in known:
            raise InputError(
                f"`{site}` is not a site of this fleet",
                hint=did_you_mean(site, known),
                where=exemption.document.where(("sites", index)),
            )
