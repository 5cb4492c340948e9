"""Small cases whose best plan can be worked out by hand."""

from datetime import timedelta

import pytest

from csched.domain.plan import Plan, PlanStatus
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import ReasonCode, SiteVerdict, Verdicts
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.testing.builders import MONDAY, fleet, job, occupation, site, snapshot


def plan_of(view: Snapshot, verdicts: Verdicts | None = None) -> Plan:
    plan = solve(view, verdicts, SolveBudget(seconds=None, work=500))
    assert faults(plan, view, verdicts) == []
    return plan


def test_a_job_waits_for_the_clean_hour_that_is_worth_it() -> None:
    plan = plan_of(snapshot([job(gpus=8)], carbon={"FR": [500, 400, 100, 90, *[500] * 20]}))
    only = plan.placements[0]
    assert only.start == MONDAY + timedelta(hours=2)  # an hour more would save 0.08 kg and cost 0.16 kg of waiting
    assert only.cost_kg == pytest.approx(8 * 0.1 + 0.02 * 8 * 2)
    assert plan.status is PlanStatus.OPTIMAL


def test_the_cleaner_site_is_full_so_the_second_job_goes_elsewhere() -> None:
    two = fleet(site("alpha", zone="FR"), site("beta", zone="DE"))
    plan = plan_of(snapshot([job("a"), job("b")], fleet=two, carbon={"FR": 50, "DE": 60}))
    assert {placed.site for placed in plan.placements} == {"alpha", "beta"}
    assert plan.cost_kg == pytest.approx(0.4 + 0.48)


def test_a_gang_of_nine_holds_two_whole_nodes() -> None:
    three_nodes = fleet(site(nodes=3))
    plan = plan_of(snapshot([job("gang", gpus=9, hours=24), job("pair", gpus=9)], fleet=three_nodes))
    starts = {placed.job: placed.start for placed in plan.placements}
    assert starts == {"pair": MONDAY, "gang": MONDAY + timedelta(hours=1)}


def test_small_jobs_share_a_node() -> None:
    plan = plan_of(snapshot([job("a", gpus=3), job("b", gpus=5)]))
    assert [placed.start for placed in plan.placements] == [MONDAY, MONDAY]
    assert {placed.nodes for placed in plan.placements} == {("gpu-n0001",)}


def test_capacity_is_held_for_the_limit_and_carbon_counted_for_the_expected_run() -> None:
    late = snapshot([job("a", hours=2, expected_runtime_s=600), job("b", hours=2)], carbon={"FR": 100})
    plan = plan_of(late)
    assert sorted(placed.start for placed in plan.placements) == [MONDAY, MONDAY + timedelta(hours=2)]
    assert plan.placement_of["a"].carbon_kg == pytest.approx(8 * 600 / 3600 * 0.1)


def test_a_running_job_keeps_its_gpus_until_its_limit() -> None:
    plan = plan_of(snapshot([job("a")], running=[occupation("old", 8, 2.5)]))
    assert plan.placements[0].start == MONDAY + timedelta(hours=3)
    assert plan.placements[0].nodes is None


def test_a_power_cap_of_one_job_runs_them_one_after_another() -> None:
    capped = fleet(site(nodes=4, it_power_cap_kw=8.0))
    plan = plan_of(snapshot([job(name) for name in "abc"], fleet=capped))
    assert sorted(placed.start for placed in plan.placements) == [MONDAY + timedelta(hours=hour) for hour in range(3)]


def test_a_cap_that_falls_after_the_horizon_still_binds() -> None:
    falls = [{"from": MONDAY + timedelta(hours=5), "to": MONDAY + timedelta(hours=9), "kw": 8.0}]
    capped = fleet(site(nodes=2, it_power_cap_kw=falls))
    plan = plan_of(snapshot([job("a", hours=6), job("b", hours=6)], fleet=capped, horizon_s=2 * 3600))
    assert len(plan.placements) == 1
    assert [reason.code for reason in plan.unplaced[0].reasons] == [ReasonCode.POWER_CAP]


def test_data_on_the_way_delays_the_start() -> None:
    two = fleet(
        site("alpha", zone="FR"), site("beta", zone="DE"), links=[{"between": ["alpha", "beta"], "gbit_per_s": 8}]
    )
    plan = plan_of(
        snapshot([job(data_site="beta", data_gb=4000)], fleet=two, carbon={"FR": 10, "DE": 5000}, horizon_s=8 * 3600)
    )
    assert (plan.placements[0].site, plan.placements[0].wait_h) == ("alpha", 2)  # 4000 s, then the next slot


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"gpus": 64}, ReasonCode.TOO_LARGE),
        ({"countries": ("DE",)}, ReasonCode.JOB_CONSTRAINT),
        ({"hardware": ("rack72",)}, ReasonCode.NO_SUCH_HARDWARE),
        ({"portable": False, "home_site": "elsewhere"}, ReasonCode.NOT_PORTABLE),
        ({"earliest_start": MONDAY + timedelta(days=3)}, ReasonCode.WINDOW),
        ({"hours": 4, "deadline": MONDAY + timedelta(hours=3)}, ReasonCode.DEADLINE_IMPOSSIBLE),
        ({"gpus": 16}, ReasonCode.POWER_CAP),
    ],
)
def test_an_impossible_job_is_left_out_with_its_reason(columns: dict[str, object], code: ReasonCode) -> None:
    capped = fleet(site(nodes=2, it_power_cap_kw=12.0))
    plan = plan_of(snapshot([job("no", **columns), job("yes")], fleet=capped))
    assert [placed.job for placed in plan.placements] == ["yes"]
    assert [(left.job, left.penalty_kg) for left in plan.unplaced] == [("no", None)]
    assert plan.unplaced[0].reasons[0].code is code  # the weightiest comes first


def test_held_and_drained_are_said() -> None:
    view = snapshot([job("a"), job("b")], held=("a",), drained={"alpha": "new chillers"})
    plan = plan_of(view)
    assert plan.status is PlanStatus.INFEASIBLE
    assert plan.unplaced_of["a"].reasons[0].code is ReasonCode.HELD
    assert plan.unplaced_of["b"].reasons[0].seen == "new chillers"


def test_the_job_that_has_no_room_costs_its_dearest_start_and_its_limit() -> None:
    full = snapshot([job("a", hours=24), job("b", hours=24)], horizon_s=24 * 3600, carbon={"FR": 100})
    plan = plan_of(full)
    assert [reason.code for reason in plan.unplaced[0].reasons] == [ReasonCode.CAPACITY]
    dearest = 8 * 24 * 0.1 + 0.02 * 8 * 23
    assert plan.unplaced[0].penalty_kg == pytest.approx(dearest + 0.5 * 8 * 24)


def test_policy_is_never_bought_out_by_carbon() -> None:
    two = fleet(site("alpha", zone="FR"), site("beta", zone="DE"))
    view = snapshot([job("a")], fleet=two, carbon={"FR": 2000, "DE": 1})
    reason = {"site": "beta", "code": ReasonCode.POLICY_HARD_DENY, "message": "not in France"}
    verdicts = {"a": (SiteVerdict(site="alpha"), SiteVerdict.model_validate({"site": "beta", "denials": [reason]}))}
    assert plan_of(view, verdicts).placements[0].site == "alpha"


def test_evidence_that_expires_bounds_the_end() -> None:
    view = snapshot([job("a", hours=2)], carbon={"FR": [900, 900, 800, *[1] * 20]})
    verdicts = {"a": (SiteVerdict(site="alpha", latest_end=MONDAY + timedelta(hours=4)),)}
    assert plan_of(view, verdicts).placements[0].start == MONDAY + timedelta(hours=2)
    assert plan_of(view).placements[0].start == MONDAY + timedelta(hours=3)


def test_no_jobs_is_a_plan_too() -> None:
    plan = plan_of(snapshot([]))
    assert (plan.status, plan.cost_kg, plan.gap) == (PlanStatus.OPTIMAL, 0, 0)
