"""For one job, what each site would mean: its best start beside the plan, its price, or why there is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from csched.domain.plan import CheaperStart, Placement, Plan, SiteOption
from csched.domain.quota import QuotaRow
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import Reason, Verdicts
from csched.placement import reasons
from csched.placement.arrangement import Holding, Spot
from csched.placement.beside import others_of, rooms_by_key, spot_of
from csched.placement.prices import Prices, prices_of
from csched.placement.problem import Problem, build
from csched.placement.reporting import placement, why_left_out
from csched.placement.schedule import Board
from csched.placement.timeline import UNCAPPED
from csched.units import SECONDS_PER_HOUR

FIGURES = ("partition", "start", "wait_h", "kwh", "carbon_kg", "topology_kg", "egress_kg", "cost_kg", "bottleneck")


def options(
    snapshot: Snapshot, verdicts: Verdicts | None, plan: Plan, job_id: str, quotas: Sequence[QuotaRow] = ()
) -> tuple[SiteOption, ...]:
    """One option per site, in the order of the fleet, beside what `plan` gives to the other jobs.

    A held job is answered as if it were free. KeyError for a job that is not in the snapshot.
    """
    free = snapshot.model_copy(update={"held": tuple(held for held in snapshot.held if held != job_id)})
    asked = _Asked(build(free, verdicts), quotas, plan, job_id)
    used = {verdict.site: verdict.exceptions for verdict in (verdicts or {}).get(job_id, ())}
    found = [asked.option(index) for index in range(len(snapshot.fleet.sites))]
    return tuple(option.model_copy(update={"exceptions": used.get(option.site, ())}) for option in found)


class _Asked:
    """One job beside the rest of a plan."""

    def __init__(self, problem: Problem, quotas: Sequence[QuotaRow], plan: Plan, job_id: str) -> None:
        self._problem = problem
        self._job = {each.job: index for index, each in enumerate(problem.jobs)}[job_id]
        self._others = others_of(problem, quotas, plan, job_id)
        self._chosen = plan.placement_of.get(job_id)
        passed = int((problem.now - plan.now).total_seconds() // problem.slot_s)
        self._prices = prices_of(problem, plan.certificate, shift_slots=passed) if plan.certificate else None

    def option(self, site_index: int) -> SiteOption:
        site, chosen = self._problem.snapshot.fleet.sites[site_index].id, self._chosen
        found = self._best(site_index)
        if chosen is not None and chosen.site == site:
            found = spot_of(self._problem, rooms_by_key(self._problem), chosen)
            option = SiteOption(site=site, verdict="allowed", chosen=True, **_figures(chosen))
        elif found is not None:
            placed = placement(self._others.problem, self._job, found, {})
            option = SiteOption(site=site, verdict="allowed", **_figures(placed))
        else:
            option = self._none(site_index)
        cheaper = self._cheaper(site_index)
        note = _told(site, cheaper) if cheaper else _compared(option, chosen)
        return option.model_copy(update={**self._congestion(found), "cheaper": cheaper, "note": note})

    def _best(self, site_index: int, board: Board | None = None) -> Spot | None:
        return self._others.best(self._job, board, but=self._problem.room_site != site_index)

    def _none(self, site_index: int) -> SiteOption:
        """A site without a start for the job: refused, or taken up by others."""
        site = self._problem.snapshot.fleet.sites[site_index].id
        gangs = self._others.ties.gangs
        if self._job in gangs.parts_of:
            denied = gangs.refusals(self._job, site_index)
        else:
            denied = reasons.of_site(self._problem, self._job, site_index)
            denied = denied or self._others.ties.domains.refusals(self._problem, self._job, site_index)
        if denied:
            return SiteOption(site=site, verdict="denied", reasons=denied)
        return SiteOption(site=site, verdict="allowed", reasons=self._taken_up(site))

    def _taken_up(self, site: str) -> tuple[Reason, ...]:
        every = why_left_out(self._others, self._job)
        return tuple(reason for reason in every if reason.site in {None, site})

    def _cheaper(self, site_index: int) -> CheaperStart | None:
        """Why not a start there that would be cheaper, were the job alone: what its GPUs are worth to others then."""
        chosen = self._chosen
        if chosen is None or self._prices is None:
            return None
        alone = self._best(site_index, Board(self._others.problem))
        if alone is None or not chosen.cost_kg - alone.cost_kg > 1e-9 * chosen.cost_kg:
            return None
        price = self._congestion(alone)["congestion_kg_per_gpu_h"]
        if not price:
            return None
        return CheaperStart(
            start=self._problem.start(alone.slot),
            saving_kg=chosen.cost_kg - alone.cost_kg,
            congestion_kg_per_gpu_h=price,
        )

    def _congestion(self, spot: Spot | None) -> dict[str, float | None]:
        if self._prices is None or spot is None:
            return {"congestion_kg": None, "congestion_kg_per_gpu_h": None}
        held = self._others.ties.holdings(self._job, spot.rooms)
        rent = sum(_rent(self._problem, self._prices, spot.slot, each) for each in held)
        gpu_h = sum(each.gpus * each.slots for each in held) * self._problem.slot_s / SECONDS_PER_HOUR
        return {"congestion_kg": rent, "congestion_kg_per_gpu_h": rent / gpu_h}


def _rent(problem: Problem, prices: Prices, slot: int, held: Holding) -> float:
    """Prices times what a part holds of GPUs and of capped power."""
    site = problem.room_site[held.room]
    rows = slice(slot, int(problem.row_after(np.array([slot + held.slots]))[0]))
    capped = problem.power_left[site, rows] < UNCAPPED
    power_kg = held.power * prices.power[site, rows][capped].sum()
    return float(held.gpus * prices.gpu[held.room, rows].sum() + power_kg)


def _figures(placed: Placement) -> dict[str, Any]:
    return {name: getattr(placed, name) for name in FIGURES}


def _told(site: str, cheaper: CheaperStart) -> str:
    return (
        f"{site} at {cheaper.start:%Y-%m-%d %H:%MZ} would save {cheaper.saving_kg:.3g} kg, "
        f"but its GPUs are worth {cheaper.congestion_kg_per_gpu_h:.2g} kg/GPU-h to others then"
    )


def _compared(option: SiteOption, chosen: Placement | None) -> str | None:
    """How a site's best start compares with the chosen one."""
    if chosen is None or option.chosen or option.carbon_kg is None or option.start is None:
        return None
    more_kg = option.carbon_kg - chosen.carbon_kg
    later_h = (option.start - chosen.start).total_seconds() / SECONDS_PER_HOUR
    carbon = f"{abs(more_kg):.3g} kg {'more' if more_kg > 0 else 'less'} carbon than at {chosen.site}"
    if later_h == 0:
        return f"{carbon}, starting at the same time"
    return f"{carbon}, starting {abs(later_h):.3g} h {'later' if later_h > 0 else 'earlier'}"
