"""A plan: what starts where and when, what has to wait and why, and how good the answer is at least."""

from collections.abc import Iterator

from csched.domain.plan import Plan
from csched.report.jobs import not_placed
from csched.report.rendering import Rendered, Table
from csched.report.words import figure, moment

PLACEMENT_COLUMNS = ("JOB", "SITE", "PARTITION", "START", "END", ">GPUS", ">WAIT H", ">KWH", ">KGCO2E", ">COST KG")


def plan(decided: Plan) -> Rendered:
    """The plan as `plan --json` has it, as tables, and as one line `job site start` for each placement."""
    lines = [f"{placed.job} {placed.site} {moment(placed.start)}" for placed in decided.placements]
    return Rendered(decided.model_dump(mode="json", by_alias=True), lines, list(_view(decided)))


def headline(decided: Plan) -> str:
    """How much was placed, what it costs and how far from the best that can be at most."""
    return (
        f"{len(decided.placements)} of {len(decided.placements) + len(decided.unplaced)} jobs placed, "
        f"{decided.status}: {figure(decided.placed_cost_kg)} kg in all, proven within {100 * decided.gap:.2f} % of the "
        f"best ({decided.solver}); carbon: {decided.carbon_source}"
    )


def effort(decided: Plan) -> str:
    """What ended the search, where its time went, and what it moved of what had been announced."""
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in decided.stages.items())
    moved = f"; {decided.moved} of {decided.announced} announced starts moved" if decided.announced else ""
    return f"{decided.stopped or 'ended'} after {decided.solve_s:.1f} s ({stages}){moved}"


def _view(decided: Plan) -> Iterator[Table | str]:
    if decided.placements:
        yield Table(
            PLACEMENT_COLUMNS,
            [
                (
                    placed.job,
                    placed.site,
                    placed.partition,
                    moment(placed.start),
                    moment(placed.end),
                    str(placed.gpus),
                    figure(placed.wait_h),
                    figure(placed.kwh),
                    figure(placed.carbon_kg),
                    figure(placed.cost_kg),
                )
                for placed in decided.placements
            ],
        )
    yield from (f"{placed.job}: {placed.bottleneck}" for placed in decided.placements if placed.bottleneck)
    if decided.unplaced:
        yield Table(("JOB", "NOT PLACED BECAUSE"), [(left.job, not_placed(left)) for left in decided.unplaced])
    yield effort(decided)
    yield headline(decided)
    yield from (f"warning: {warning}" for warning in decided.warnings)
