"""One rule: who must run where, why, by whose order, and the cases that show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from csched.domain.base import InstantOrDay, Slug, Value
from csched.errors import InputError, Where
from csched.formats.validation import input_error
from csched.formats.yaml_document import Document, Path
from csched_policies.clause import Clause
from csched_policies.groups import Groups
from csched_policies.parsing import Place, find_attribute, parse_clauses


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
    tests: tuple[Case, ...] = Field(default=(), max_length=1000)


@dataclass(frozen=True)
class Rule:
    """A rule whose every word has been checked."""

    text: RuleText
    when: tuple[Clause, ...]
    require: tuple[Clause, ...]
    document: Document

    @property
    def id(self) -> str:
        return self.text.id

    @property
    def applied(self) -> bool:
        """Whether a clause that is not met excludes the site; otherwise it is only reported."""
        return self.text.mode is Mode.ENFORCE and self.text.enforce is not Enforce.ADVISORY

    @property
    def clauses(self) -> tuple[Clause, ...]:
        return self.when + self.require

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(path for clause in self.clauses for path in clause.reads)

    def where(self, *path: str | int) -> Where:
        return self.document.where(path)


_PREFER: Final = "this version of csched applies requirements only, not preferences"


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
    if "prefer" in document.data:
        raise InputError(_PREFER, hint="leave `prefer` out", where=document.where(("prefer",)))
    for path in text.when:
        _refuse_site_fact(path, document.where(("when", path)))
    when = _clauses(text.when, "when", document, groups)
    require = _clauses(text.require, "require", document, groups)
    for index, case in enumerate(text.tests):
        _check_case(case, ("tests", index), document, text)
    return Rule(text, when, require, document)


def _clauses(entries: Mapping[str, Any], key: str, document: Document, groups: Groups) -> tuple[Clause, ...]:
    return tuple(
        clause
        for path, comparison in entries.items()
        for clause in parse_clauses(path, comparison, Place(document, (key, path)), groups)
    )


def _refuse_site_fact(path: str, where: Where) -> None:
    if find_attribute(path, where).of_site:
        raise InputError(
            f"`when` says for which jobs a rule is, and `{path}` is a fact about the site",
            hint="move it to `require`",
            where=where,
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
    if case.expect == "deny" and case.until is not None:
        raise InputError("only an allowed case has an end", where=document.where((*at, "until")))
