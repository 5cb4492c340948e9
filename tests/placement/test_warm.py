"""The next plan begins where the last one stood: what was told moves for a gain only, and none of it is trusted."""

import math
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from csched.domain.plan import Certificate, Plan
from csched.domain.snapshot import AnnouncedStart, Snapshot, SolveBudget, StandingPlan
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.testing.builders import MONDAY, SLOT_S, fleet, job, outlook, site, snapshot

ZONES = ("FR", "DE", "SE", "PL")
JOBS = 320
"""More than the solver proves, so that it is the search that decides."""
SLOT = timedelta(seconds=SLOT_S)


def sky(seed: int, noise: float = 0.0) -> Mapping[str, Sequence[float]]:
    dice, wrong = random.Random(1), random.Random(seed)
    return {zone: [dice.randint(80, 140) * wrong.gauss(1, noise) for _ in range(48)] for zone in ZONES}


def queue(count: int = JOBS, *, seed: int = 0, noise: float = 0.0, move_kg_per_gpu: float = 0.02) -> Snapshot:
    """Jobs for four sites that differ little and cannot take all at once."""
    dice = random.Random(3)
    where = fleet(
        *[site(name, zone=zone, nodes=12) for name, zone in zip("abcd", ZONES, strict=True)],
        objective={"move_kg_per_gpu": move_kg_per_gpu},
    )
    work = [job(f"j{index}", gpus=dice.choice([1, 4, 8, 16]), hours=dice.randint(1, 9)) for index in range(count)]
    return snapshot(work, fleet=where, carbon=outlook(sky(seed, noise)))


def planned(view: Snapshot, standing: StandingPlan | None = None, work: int = 200) -> Plan:
    view = view.model_copy(update={"standing": standing})
    plan = solve(view, None, SolveBudget(seconds=None, work=work))
    assert faults(plan, view, None) == []
    return plan


@pytest.fixture(scope="module")
def first() -> Plan:
    return planned(queue())


def fates(plan: Plan) -> dict[str, tuple[str, object]]:
    return {placed.job: (placed.site, placed.start) for placed in plan.placements}


def test_the_same_snapshot_again_gives_the_same_plan_bit_for_bit(first: Plan) -> None:
    standing = StandingPlan.of(first)
    assert planned(queue(), standing).decision() == planned(queue(), standing).decision()


def test_what_moves_is_counted(first: Plan) -> None:
    again = planned(queue(), StandingPlan.of(first))
    before, after = fates(first), fates(again)
    assert again.announced == len(before)
    assert again.moved == sum(before[name] != after.get(name) for name in before)


def test_nothing_moves_where_moving_costs_more_than_it_can_gain(first: Plan) -> None:
    again = planned(queue(JOBS + 5, seed=9, noise=0.1, move_kg_per_gpu=1e4), StandingPlan.of(first))
    assert again.announced == len(first.placements)
    assert again.moved == 0
    assert len(again.placements) > len(first.placements)


def test_a_redrawn_forecast_moves_a_few_starts_where_planning_anew_moves_most(first: Plan) -> None:
    redrawn = queue(seed=5, noise=0.05)
    warm, cold = planned(redrawn, StandingPlan.of(first)), planned(redrawn)
    before, anew = fates(first), fates(cold)
    moved_anew = sum(before[name] != anew.get(name) for name in before)
    assert warm.moved <= 0.1 * warm.announced
    assert moved_anew >= 0.5 * warm.announced
    assert warm.cost_kg <= 1.03 * cold.cost_kg


def test_a_move_price_of_nothing_moves_for_any_gain_and_is_no_part_of_a_cost(first: Plan) -> None:
    free = planned(queue(move_kg_per_gpu=0.0), StandingPlan.of(first))
    assert free.moved > 0
    assert free.cost_kg <= first.cost_kg


def test_a_slot_later_starts_that_have_not_passed_are_kept(first: Plan) -> None:
    passed = {placed.job for placed in first.placements if placed.start == MONDAY}
    later = queue(move_kg_per_gpu=1e4)
    later = later.model_copy(
        update={"now": MONDAY + SLOT, "jobs": tuple(each for each in later.jobs if each.job not in passed)}
    )
    again = planned(later, StandingPlan.of(first))
    assert again.announced == len(first.placements) - len(passed)
    assert again.moved == 0


def test_jobs_of_a_drained_site_move_and_the_others_stay(first: Plan) -> None:
    here = [placed.job for placed in first.placements if placed.site == "a"]
    drained = queue(move_kg_per_gpu=1e4).model_copy(update={"drained": {"a": "works"}})
    again = planned(drained, StandingPlan.of(first))
    assert again.moved == len(here) > 0


@pytest.mark.parametrize("price", [math.nan, math.inf, -1.0, 1e300])
def test_poisoned_prices_are_left_away(first: Plan, price: float) -> None:
    assert first.certificate is not None
    poisoned = Certificate.model_construct(gpu=dict.fromkeys(first.certificate.gpu, (0.01, price, 0.02)), power={})
    standing = StandingPlan.of(first).model_copy(update={"certificate": poisoned})
    again = planned(queue(), standing)
    assert again.bound_kg == pytest.approx(first.bound_kg, rel=0.02)


@pytest.mark.parametrize("length", [0, 1, 10_000])
def test_prices_of_another_length_do_no_harm(first: Plan, length: int) -> None:
    odd = Certificate(gpu={"a/gpu": (0.001,) * length, "gone/gpu": (5.0,)}, power={"b": (1.0,) * length})
    planned(queue(), StandingPlan.of(first).model_copy(update={"certificate": odd}))


def test_a_standing_plan_of_another_fleet_counts_for_nothing(first: Plan) -> None:
    elsewhere = {
        f"j{index}": AnnouncedStart(site="nowhere", partition="gpu", start=MONDAY) for index in range(JOBS)
    } | {"gone": AnnouncedStart(site="a", partition="gpu", start=MONDAY)}
    standing = StandingPlan(now=MONDAY - 3 * SLOT, slot_s=SLOT_S, starts=elsewhere)
    again = planned(queue(), standing)
    assert (again.announced, again.moved) == (0, 0)
    assert fates(again) == fates(first)


def test_starts_that_fit_no_more_are_given_up_in_part_only() -> None:
    """All were told to start at once at a site with room for three."""
    view = snapshot([job(f"j{index}") for index in range(40)], fleet=fleet(site("a", nodes=3), site("b", zone="DE")))
    told = {each.job: AnnouncedStart(site="a", partition="gpu", start=MONDAY) for each in view.jobs}
    plan = planned(view, StandingPlan(now=MONDAY, slot_s=SLOT_S, starts=told))
    assert (plan.announced, plan.moved) == (40, 37)


@pytest.mark.parametrize("count", [5, 40], ids=["plain", "proven"])
def test_small_plans_are_stable_too(count: int) -> None:
    view = queue(count, move_kg_per_gpu=1e4)
    plan = planned(view, work=50)
    noisy = queue(count, seed=7, noise=0.1, move_kg_per_gpu=1e4)
    assert planned(noisy, StandingPlan.of(plan), work=50).moved == 0


def test_a_start_is_reached_however_the_grid_of_slots_drifts() -> None:
    """Planned every seven minutes on slots of an hour, a job starts at most one cycle after it was told to."""
    night = [500.0] * 6 + [10.0] * 18
    where, work = fleet(site()), [job("a", gpus=8, hours=2)]
    now, standing, told = MONDAY, None, None
    while True:
        view = snapshot(work, fleet=where, carbon=outlook({"FR": night})).model_copy(
            update={"now": now, "standing": standing}
        )
        plan = solve(view, None, SolveBudget(seconds=None, work=50))
        told = told or plan.placements[0].start
        if plan.placements[0].start <= now:
            break
        standing, now = StandingPlan.of(plan, standing), now + timedelta(minutes=7)
    assert told == MONDAY + 6 * SLOT
    assert timedelta(0) <= now - told < timedelta(minutes=7)


def test_a_start_in_a_reservation_stands_in_it() -> None:
    """It was told a later hour than would be cleanest now; the reservation is half of what it could mean by `gpu`."""
    aside = {"name": "course", "site": "alpha", "from": MONDAY, "to": MONDAY + 12 * SLOT, "gpus": 8}
    where = fleet(site(nodes=2), reservations=[aside], objective={"move_kg_per_gpu": 1e4})
    work = [job("in", gpus=8, reservation="course"), job("out", gpus=8)]
    skies = [{"FR": [500.0, 400.0, 10.0, *[500.0] * 45]}, {"FR": [500.0, 10.0, 400.0, *[500.0] * 45]}]
    plan = planned(snapshot(work, fleet=where, carbon=outlook(skies[0])))
    again = planned(snapshot(work, fleet=where, carbon=outlook(skies[1])), StandingPlan.of(plan))
    assert [placed.reservation for placed in again.placements] == ["course", None]
    assert (again.announced, again.moved) == (2, 0)
    assert {placed.start for placed in again.placements} == {MONDAY + 2 * SLOT}
