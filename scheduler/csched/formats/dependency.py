"""What a job waits for, in the spelling of sbatch(1) --dependency: `afterok:12:13,afterany:14`, all to be met."""

from collections.abc import Sequence

from pydantic import ValidationError

from csched.domain.job import Dependency, DependencyKind
from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean, input_error

MOST_TERMS = 100


def parse_dependency(text: str, where: Where) -> tuple[Dependency, ...]:
    """The terms of `text`, in their order; `where` is the place that errors name.

    Raises:
        InputError: `?` between terms, an unknown kind, or what is no job id.
    """
    if "?" in text:
        raise InputError(
            f"`{text[:60]}` asks for any one of several jobs, which csched does not plan with",
            hint="separate the terms with commas: all of them are waited for",
            where=where,
        )
    terms = text.split(",")
    if len(terms) > MOST_TERMS:
        raise InputError(f"expected at most {MOST_TERMS} terms, got {len(terms)}", where=where)
    return tuple(_term(term.strip(), where) for term in terms)


def spell_dependency(dependency: Sequence[Dependency]) -> str:
    """The text that `parse_dependency` reads."""
    return ",".join(":".join((each.kind.value, *each.jobs)) for each in dependency)


def _term(text: str, where: Where) -> Dependency:
    kind, colon, jobs = text.partition(":")
    kinds = [known.value for known in DependencyKind]
    if kind not in kinds:
        raise InputError(f"unknown kind of dependency `{kind[:60]}`", hint=did_you_mean(kind, kinds), where=where)
    if not colon:
        raise InputError(f"`{kind}` of which job?", hint=f"write {kind}:ID, or {kind}:ID:ID", where=where)
    if kind == DependencyKind.AFTER and "+" in jobs:
        raise InputError(
            f"`{text[:60]}` waits for minutes after a start, which csched does not plan with",
            hint="leave out what follows +",
            where=where,
        )
    try:
        return Dependency(kind=DependencyKind(kind), jobs=tuple(job.strip() for job in jobs.split(":")))
    except ValidationError as error:
        raise input_error(error, lambda _: where, Dependency) from error
