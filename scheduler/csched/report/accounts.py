"""Energy and carbon of ended jobs, summed; method and source are always part of it."""

from collections.abc import Mapping, Sequence

from csched.accounting.aggregation import ReportLine
from csched.domain.ledger import LedgerEntry
from csched.report.rendering import Rendered, Table
from csched.report.words import figure, listed, percent, span

BASELINE = "the same run time, begun at submission at the submitter's home site"


def accounts(entries: Sequence[LedgerEntry], by: str, lines: Sequence[ReportLine], total: ReportLine) -> Rendered:
    """One line per user, project, site or month, the total, and how the figures were obtained."""
    grounds = methods(entries)
    document: dict[str, object] = {
        "by": by,
        "lines": [_document(line) for line in lines],
        "total": {**_document(total), "mean_wait_h": mean_wait_h(entries)},
        "baseline": BASELINE,
        **grounds,
    }

    columns = (by.upper(), ">JOBS", ">GPU H", ">KWH", ">KGCO2E", ">AT HOME, AT ONCE", ">SAVED KG", ">SAVED")
    table = Table(columns, [line_row(line) for line in (*lines, total)])
    return Rendered(document, [f"{line.key} {line.carbon_kg}" for line in lines], [table, *footnotes(entries)])


def line_row(line: ReportLine) -> tuple[str, ...]:
    return (
        line.key,
        str(line.jobs),
        figure(line.gpu_h),
        figure(line.kwh),
        figure(line.carbon_kg + line.egress_kg),
        figure(line.baseline_carbon_kg),
        figure(line.saved_kg),
        percent(line.saved_pct),
    )


def methods(entries: Sequence[LedgerEntry]) -> Mapping[str, list[str]]:
    """How energy and intensity were obtained, each way named once."""
    return {
        "energy_methods": sorted({str(entry.energy_method) for entry in entries}),
        "carbon_sources": sorted({entry.carbon_source for entry in entries}),
        "carbon_methods": sorted({entry.carbon_method for entry in entries}),
    }


def mean_wait_h(entries: Sequence[LedgerEntry]) -> float | None:
    """Hours from submission to start, the mean over jobs: what the saving was paid with."""
    if not entries:
        return None
    return sum((entry.start - entry.submit).total_seconds() for entry in entries) / 3600 / len(entries)


def footnotes(entries: Sequence[LedgerEntry]) -> list[str]:
    if not entries:
        return ["No job has ended yet."]
    grounds = methods(entries)
    return [
        f"Jobs waited {span(mean_wait_h(entries))} on average. Saved is against {BASELINE}.",
        f"Energy: {listed(grounds['energy_methods'])} (model = rated power x load x duration x PUE).",
        f"Intensity: {listed(grounds['carbon_sources'])}, method {listed(grounds['carbon_methods'])}, location-based.",
        "KGCO2E includes what moving the data caused.",
    ]


def _document(line: ReportLine) -> dict[str, object]:
    return {**line.model_dump(mode="json"), "saved_pct": line.saved_pct}
