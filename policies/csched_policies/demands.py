"""What a job and its datasets ask for themselves, whatever the rules say. It can only narrow: nobody can lift it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from csched.domain.job import Confidentiality, Tenancy
from csched.domain.site import SealObjective
from csched.domain.verdict import ReasonCode
from csched_policies.clause import Clause, Operand
from csched_policies.facts import EGRESS_HOURS, Facts, OpenHours
from csched_policies.operators import ClosedHours, Countries
from csched_policies.vocabulary import VOCABULARY, Egress

OF_JOB: Final = (
    "job.requires.confidential",
    "job.requires.tenancy",
    "job.requires.min_seal",
    "job.requires.min_ual",
)
OF_DATASET: Final = (
    "data.id",
    "data.egress",
    EGRESS_HOURS,
    "data.site",
    "data.gb",
    "data.replicas",
    "data.law",
    "outputs.return_to",
)
"""Labels from which demands follow, or which they compare."""


@dataclass(frozen=True)
class Demand:
    """Clauses that must all hold, asked for by the job or by one dataset."""

    id: str
    """What stands in place of a rule's id."""
    spoken: str
    code: ReasonCode
    require: tuple[Clause, ...]


def demands(labels: Facts) -> tuple[Demand, ...]:
    """All that these labels ask for."""
    found = []
    if asked := tuple(_of_job(labels)):
        found.append(Demand("job.requires", "the job itself", ReasonCode.JOB_CONSTRAINT, asked))
    if asked := tuple(_of_dataset(labels)):
        name = labels["data.id"]
        found.append(Demand(f"dataset {name}", f"dataset {name}", ReasonCode.POLICY_HARD_DENY, asked))
    return tuple(found)


def _of_job(labels: Facts) -> Iterator[Clause]:
    confidential, tenancy = labels.get("job.requires.confidential"), labels.get("job.requires.tenancy")
    if confidential in {Confidentiality.CPU, Confidentiality.GPU}:
        yield _asks("site.confidential.cpu_tee", "in", frozenset({"sev-snp", "tdx"}), "one of sev-snp, tdx")
    if confidential == Confidentiality.GPU:
        yield _asks("site.confidential.gpu_cc", "in", frozenset({"on", "ppcie"}), "one of on, ppcie")
        yield _asks("site.confidential.attested", "eq", True, "true")
    if tenancy not in {None, Tenancy.SHARED}:
        enough = [word for word in Tenancy if list(Tenancy).index(word) >= list(Tenancy).index(Tenancy(tenancy))]
        yield _asks("site.tenancy", "in", frozenset(map(str, enough)), f"one of {', '.join(enough)}")
    if least := labels.get("job.requires.min_seal"):
        for objective in SealObjective:
            yield _asks(f"site.seal.{objective}", "ge", least, f"at least {least:g}")
    if least := labels.get("job.requires.min_ual"):
        yield _asks("site.ual", "ge", least, f"at least {least:g}")


def _of_dataset(labels: Facts) -> Iterator[Clause]:
    egress, hours = labels.get("data.egress"), labels.get(EGRESS_HOURS)
    if egress == Egress.FORBIDDEN:
        rests = (*([labels["data.site"]] if labels.get("data.site") else []), *(labels.get("data.replicas") or ()))
        yield _asks("site.id", "in", frozenset(rests), f"one of {', '.join(rests) or 'no known site'}")
    elif egress in {Egress.EEA, Egress.ADEQUACY}:
        by_law = () if egress == Egress.EEA else ("territory", "adequate")
        where = Countries(frozenset(), ("EEA",), by_law)
        words = ", ".join(["@EEA", *(f"@{family}(data.law)" for family in by_law)])
        yield _asks("site.country", "in", where, f"one of {words}")
        yield _asks("site.storage_countries", "subset", where, f"only {words}")
    if isinstance(hours, OpenHours):
        words = f"between {hours.from_} and {hours.to} {hours.tz}"
        yield _asks("transfer.hours", "between", ClosedHours(hours.to, hours.from_, hours.tz), words)


def _asks(path: str, operator: str, operand: Operand, needed: str) -> Clause:
    return Clause(VOCABULARY[path], operator, operand, needed)
