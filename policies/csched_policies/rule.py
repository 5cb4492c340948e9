"""One rule: who must run where, why, by whose order, and the cases that show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from csched.domain.base import Country, InstantOrDay, Slug, Value
from csched.domain.verdict import ReasonCode
from csched.errors import InputError, Where
from csched.formats.validation import input_error
from csched.formats.yaml_document import Document, Path
from csched_policies.clause import Clause
from csched_policies.groups import Groups
from csched_policies.parsing import find_attribute, parse_clauses
from csched_policies.preferring import Liking, read_liking
from csched_policies.reading import Place
from csched_policies.vocabulary import VOCABULARY, Kind


class Enforce(StrEnum):
    """How binding a rule is. An overridable rule that nobody has overridden is applied like a hard one."""

    HARD = "hard"
    OVERRIDABLE = "overridable"
    ADVISORY = "advisory"


class Mode(StrEnum):
    ENFORCE = "enforce"
    AUDIT = "audit"
    """Reported, never applied: to see what a new rule would refuse."""


class Case(Value):
    """One inline test: these facts, this verdict, and for a denial the clause that says no."""

    job: Mapping[str, Any] = {}
    """Label path -> value, such as `data.class: health`; what is not named is unknown."""
    site: str | Mapping[str, Any]
    """A site of the fleet, or facts written as in the fleet file."""
    expect: Literal["allow", "deny"]
    clause: str | None = None
    now: InstantOrDay | None = None
    """When the case is judged; the time of the test run where it is left out."""
    until: InstantOrDay | None = None
    """For an allowed case: the instant by which the job must have ended."""
    start: InstantOrDay | None = None
    """When the job is begun, for rules with hours; without it some start is asked for."""
    used: Mapping[Country, Annotated[float, Field(ge=0)]] | None = None
    """GPU-hours that the tenant has had this month, by country, for rules with a share; the job's come on top."""
    preferred: float | None = Field(default=None, ge=0)
    """For an allowed case: the points that the rule's `prefer` gives the site, were it the fleet's only one."""


def _day(raw: object) -> object:
    if isinstance(raw, str):
        try:
            return date.fromisoformat(raw)
        except ValueError as error:
            raise ValueError(f"`{raw}` is not a day such as 2027-05-01") from error
    return raw


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class RuleText(Value):
    """A rule as its YAML document has it; the clauses are still unread."""

    model_config = ConfigDict(title="csched policy rule")

    id: Slug
    version: int = Field(ge=1, strict=True)
    because: _Text
    """The law or the contract that asks for it."""
    owner: _Text
    """Who answers for it, such as dpo@example.eu."""
    review_by: Annotated[date, BeforeValidator(_day)]
    enforce: Enforce
    mode: Mode
    limits: _Text | None = None
    """What the rule does not do."""
    when: Mapping[str, Any] = {}
    """Label path -> comparison; all must hold. Left out: every job."""
    require: Mapping[str, Any] = Field(min_length=1)
    """Path -> comparison; all must hold."""
    prefer: Mapping[str, Any] = {}
    """Path -> what makes one site better than another; advice."""
    tests: tuple[Case, ...] = Field(default=(), max_length=1000)


@dataclass(frozen=True)
class Rule:
    """A rule whose every word has been checked."""

    text: RuleText
    when: tuple[Clause, ...]
    require: tuple[Clause, ...]
    prefer: tuple[Liking, ...]
    document: Document

    @property
    def id(self) -> str:
        return self.text.id

    @property
    def applied(self) -> bool:
        """Whether a clause that is not met excludes the site; otherwise it is only reported."""
        return self.text.mode is Mode.ENFORCE and self.text.enforce is not Enforce.ADVISORY

    @property
    def code(self) -> ReasonCode:
        return ReasonCode.POLICY_HARD_DENY

    @property
    def spoken(self) -> str:
        """How reasons call it."""
        return f"rule {self.id}"

    @property
    def clauses(self) -> tuple[Clause, ...]:
        return self.when + self.require

    @property
    def reads(self) -> frozenset[str]:
        preferred = frozenset(path for liking in self.prefer for path in liking.reads)
        return preferred | frozenset(path for clause in self.clauses for path in clause.reads)

    def where(self, *path: str | int) -> Where:
        return self.document.where(path)


def read_rule(document: Document, groups: Groups) -> Rule:
    """One rule from one YAML document.

    Raises:
        InputError: with file, line and field.
    """
    if not isinstance(document.data, dict):
        raise InputError("a mapping with `id`, `require` and so on was expected", where=document.where())
    try:
        text = RuleText.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, RuleText) from error
    for path in text.when:
        _require_condition(path, document.where(("when", path)))
    when = _clauses(text.when, "when", document, groups)
    require = _clauses(text.require, "require", document, groups)
    prefer = tuple(
        read_liking(path, raw, Place(document, ("prefer", path)), groups) for path, raw in text.prefer.items()
    )
    if any(clause.attribute.kind is Kind.QUOTA for clause in require):
        _check_share(text, document)
    for index, case in enumerate(text.tests):
        _check_case(case, ("tests", index), document, text)
    return Rule(text, when, require, prefer, document)


def _clauses(entries: Mapping[str, Any], key: str, document: Document, groups: Groups) -> tuple[Clause, ...]:
    return tuple(
        clause
        for path, comparison in entries.items()
        for clause in parse_clauses(path, comparison, Place(document, (key, path)), groups)
    )


def _require_condition(path: str, where: Where) -> None:
    attribute = find_attribute(path, where)
    if attribute.of_site:
        raise InputError(
            f"`when` says for which jobs a rule is, and `{path}` is a fact about the site",
            hint="move it to `require`",
            where=where,
        )
    if attribute.kind in {Kind.CLOCK, Kind.QUOTA}:
        raise InputError(
            f"`{path}` is {attribute.kind}, which a rule asks for", hint="move it to `require`", where=where
        )


def _check_share(text: RuleText, document: Document) -> None:
    """A month's hours are kept for each tenant, not for each kind of job, and nobody can except some of them."""
    for path in text.when:
        if not VOCABULARY[path].path.startswith("tenant."):
            raise InputError(
                f"a share is one of a tenant's hours, and `{path}` tells its jobs apart",
                hint="let `when` read facts under `tenant.` only",
                where=document.where(("when", path)),
            )
    if text.enforce is Enforce.OVERRIDABLE:
        raise InputError(
            "a share is for all jobs of a tenant together and cannot be overridden for some",
            hint="write hard, and raise the share",
            where=document.where(("enforce",)),
        )


def _check_case(case: Case, at: Path, document: Document, text: RuleText) -> None:
    for path in case.job:
        place = document.where((*at, "job", path))
        if find_attribute(path, place).of_site:
            raise InputError(f"`{path}` is a fact about the site", hint="write it under `site`", where=place)
    if case.clause is not None and case.clause not in {*text.when, *text.require}:
        raise InputError(
            f"`{case.clause}` is no clause of this rule",
            hint=f"its clauses are {', '.join([*text.when, *text.require])}",
            where=document.where((*at, "clause")),
        )
    if case.expect == "allow" and case.clause is not None:
        raise InputError("only a denied case has a clause", where=document.where((*at, "clause")))
    for name in ("until", "preferred"):
        if case.expect == "deny" and getattr(case, name) is not None:
            raise InputError(f"only an allowed case has `{name}`", where=document.where((*at, name)))
    if case.preferred is not None and not text.prefer:
        raise InputError("this rule prefers nothing", where=document.where((*at, "preferred")))
