"""What each site would mean for one job: the table of `submit --test-only` and of `explain`."""

from collections.abc import Sequence

from csched.domain.plan import Explanation, SiteOption
from csched.report.rendering import Rendered, Table
from csched.report.words import figure, moment


def options(
    explanation: Explanation,
    home: str,
    headline: str | None = None,
    *,
    all_reasons: bool = False,
    job_id: int | None = None,
) -> Rendered:
    """One line per site, the chosen one marked, and what the choice saves against the job's home site.

    Where a site is refused for several reasons the table has the most telling one and counts the others;
    `all_reasons` and the document have them all. `job_id` is null for a job that is not handed in.
    """
    choices = explanation.options
    chosen = next((choice for choice in choices if choice.chosen), None)
    document = {
        "job_id": job_id,
        "home_site": home,
        "chosen": chosen.site if chosen else None,
        "saved_kg": saved_kg(choices, home),
        **explanation.model_dump(mode="json"),
    }
    whys = [(choice.site, why(choice, all_reasons=all_reasons)) for choice in choices]
    reasons = [f"{site}: {told}" for site, told in whys if told]
    changes = [f"It {relaxation.message}." for relaxation in explanation.relaxations]
    slow = [f"Its places slow it down: {chosen.bottleneck}."] if chosen and chosen.bottleneck else []
    return Rendered(
        document,
        [chosen.site] if chosen else [],
        [_table(choices, headline), *reasons, saving(choices, home), *slow, *changes],
    )


COLUMNS = ("", "SITE", "VERDICT", "START", ">WAIT H", ">KGCO2E", ">COST KG", ">OTHERS")
"""OTHERS: kg per GPU-hour that the GPUs are worth to other jobs then. Sentences are below: a line has 80 columns."""


def _table(choices: Sequence[SiteOption], headline: str | None) -> Table:
    """With a column for the cost of the topology where it costs anything anywhere."""
    rows = [_row(choice) for choice in choices]
    if not any(choice.topology_kg for choice in choices):
        return Table(COLUMNS, rows, title=headline)
    slower = [(*row, figure(choice.topology_kg)) for row, choice in zip(rows, choices, strict=True)]
    return Table((*COLUMNS, ">TOPOLOGY"), slower, title=headline)


def _row(choice: SiteOption) -> tuple[str, ...]:
    return (
        "CHOSEN" if choice.chosen else "",
        choice.site,
        choice.verdict,
        moment(choice.start),
        figure(choice.wait_h),
        figure(choice.carbon_kg),
        figure(choice.cost_kg),
        figure(choice.congestion_kg_per_gpu_h),
    )


def why(choice: SiteOption, *, all_reasons: bool) -> str:
    """The reasons with their codes, most telling first; else how the site compares with the chosen one."""
    ordered = sorted(choice.reasons, key=lambda reason: reason.code.tier)
    told = [f"{reason.code}: {reason.message}" for reason in ordered]
    if len(told) > 1 and not all_reasons:
        told = [f"{told[0]} (and {len(told) - 1} more)"]
    told += [f"exception {use.exception} ({use.ticket}) sets rule {use.rule} aside" for use in choice.exceptions]
    if choice.note:
        told.append(choice.note)
    return "; ".join(told)


def saved_kg(choices: Sequence[SiteOption], home: str) -> float | None:
    """kgCO2e less than at the home site's own best start; null where one of the two is not possible."""
    chosen = next((choice.carbon_kg for choice in choices if choice.chosen), None)
    at_home = next((choice.carbon_kg for choice in choices if choice.site == home), None)
    return None if chosen is None or at_home is None else at_home - chosen


def saving(choices: Sequence[SiteOption], home: str) -> str:
    chosen = next((choice for choice in choices if choice.chosen), None)
    if chosen is None:
        return "No site is chosen: the reasons are above."
    saved = saved_kg(choices, home)
    told = f"{chosen.site} from {moment(chosen.start)}: {figure(chosen.carbon_kg)} kgCO2e"
    if chosen.site == home:
        return f"{told}, at the home site."
    if saved is None:
        return f"{told}; the home site {home} cannot take the job."
    compared = "less" if saved >= 0 else "more"
    return f"{told}, {figure(abs(saved))} kg {compared} than at the home site {home}."
