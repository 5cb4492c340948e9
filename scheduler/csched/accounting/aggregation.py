"""Sums of ledger entries by user, project, site or month: what `csched report` shows. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from csched.domain.base import Value
from csched.domain.ledger import LedgerEntry
from csched.units import SECONDS_PER_HOUR

KEYS: Final[Mapping[str, Callable[[LedgerEntry], str]]] = {
    "user": lambda entry: entry.user or "unknown",
    "project": lambda entry: entry.project or "none",
    "site": lambda entry: entry.site,
    "month": lambda entry: entry.end.strftime("%Y-%m"),
}


class ReportLine(Value):
    """The jobs of one user, project, site or month together. kg are kgCO2e and not rounded."""

    key: str
    jobs: int
    gpu_h: float
    kwh: float
    carbon_kg: float
    egress_kg: float
    baseline_carbon_kg: float
    saved_kg: float
    """Against "at once, at the submitter's home site"; negative where csched did worse."""

    @property
    def saved_pct(self) -> float | None:
        """null where there is no baseline to save from."""
        return 100 * self.saved_kg / self.baseline_carbon_kg if self.baseline_carbon_kg > 0 else None


def aggregate(entries: Iterable[LedgerEntry], by: str) -> tuple[ReportLine, ...]:
    """One line per key in alphabetical order. Raises KeyError for a `by` that is not in KEYS."""
    key_of = KEYS[by]
    groups: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        groups.setdefault(key_of(entry), []).append(entry)
    return tuple(_line(key, groups[key]) for key in sorted(groups))


def total(entries: Iterable[LedgerEntry]) -> ReportLine:
    return _line("total", list(entries))


def _line(key: str, entries: list[LedgerEntry]) -> ReportLine:
    return ReportLine(
        key=key,
        jobs=len(entries),
        gpu_h=sum(entry.gpus * (entry.end - entry.start).total_seconds() / SECONDS_PER_HOUR for entry in entries),
        kwh=sum(entry.kwh for entry in entries),
        carbon_kg=sum(entry.carbon_kg for entry in entries),
        egress_kg=sum(entry.egress_kg for entry in entries),
        baseline_carbon_kg=sum(entry.baseline_carbon_kg for entry in entries),
        saved_kg=sum(entry.saved_kg for entry in entries),
    )
