"""What living jobs hold: until their limit for sure, and until when by what their user's runs took before."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from csched.clock import FixedClock
from csched.domain.ledger import EnergyMethod, LedgerEntry
from csched.domain.plan import ComponentPlacement, Placement
from csched.domain.run import ExitCode, JobState, RunReport
from csched.domain.snapshot import Usage
from csched.store.occupations import FEWEST_RUNS, Occupations, month_of, summed
from csched.store.records import JobRecord, Submission
from csched.store.repository import Repository
from csched.testing.builders import MONDAY, fleet, job, site
from csched.testing.planner import everything_at, placement

HOUR = timedelta(hours=1)
SLOT_S = 900
TWO_KINDS = fleet(
    site(
        partitions=[
            {"name": "gpu", "hardware": "box8", "nodes": 4},
            {"name": "rack", "hardware": "rack72", "domains": 1},
        ]
    )
)


def living(*, hours: float = 4.0, placed: Placement | None = None, **columns: Any) -> JobRecord:
    """A job of ann's that has run since an hour before MONDAY."""
    asked = job("7", hours=hours, user="ann", **columns)
    return JobRecord(
        id=7, job=asked, name="x", work_dir="/", stdout="/x", state=JobState.RUNNING, submit=MONDAY - HOUR,
        start=MONDAY - HOUR, placement=placed or placement(asked, "alpha", "gpu", MONDAY - HOUR), revision=1,
    )  # fmt: skip


def seen(**more: Any) -> Occupations:
    return Occupations(TWO_KINDS, TWO_KINDS.hardware, MONDAY, SLOT_S, **more)


def test_a_job_holds_its_gpus_to_its_limit() -> None:
    (held,) = seen().of(living(gpus=9))
    assert (held.gpus_held, held.it_kw, held.until, held.likely_until) == (16, 9.0, MONDAY + 3 * HOUR, None)


def test_the_limit_is_that_of_the_hardware() -> None:
    (held,) = seen().of(living(runtime_factors={"box8": 2.0}))
    assert held.until == MONDAY + 7 * HOUR


def test_a_factor_gives_the_second_that_the_plan_reckons_with() -> None:
    (held,) = seen().of(record := living(hours=4.001, runtime_factors={"box8": 1.1}))
    assert held.until == MONDAY - HOUR + timedelta(seconds=record.job.limit_s_on("box8"))


def test_a_job_in_a_reservation_holds_gpus_of_it_while_the_fleet_has_it() -> None:
    aside = {"name": "course", "site": "alpha", "partition": "gpu", "from": MONDAY, "to": MONDAY + HOUR, "gpus": 16}
    placed = placement(job("7"), "alpha", "gpu", MONDAY).model_copy(update={"reservation": "course"})
    with_it = fleet(*TWO_KINDS.sites, reservations=[aside])
    rooms = [
        Occupations(each, each.hardware, MONDAY, SLOT_S).of(living(placed=placed))[0].room
        for each in (with_it, TWO_KINDS)
    ]
    assert rooms == ["alpha/gpu/course", "alpha/gpu"]


def test_what_should_have_ended_holds_one_slot_more() -> None:
    (held,) = seen().of(living(hours=0.5))
    assert held.until == MONDAY + timedelta(seconds=SLOT_S)


def test_it_has_the_nodes_of_its_placement_and_a_confidential_job_all_of_each() -> None:
    placed = placement(job("7", gpus=2), "alpha", "gpu", MONDAY).model_copy(update={"nodes": ("gpu-n0002",)})
    (held,) = seen().of(living(gpus=2, placed=placed, requires_confidential="gpu"))
    assert (held.nodes, held.gpus_held, held.it_kw) == (("gpu-n0002",), 8, 2.0)


def test_each_part_of_a_job_holds_its_own() -> None:
    asked = job("7", gpus=20, components=[{"gpus": 12}, {"gpus": 8, "hardware": ["rack72"]}])
    parts = [
        ComponentPlacement(partition=name, gpus=gpus, end=MONDAY, kwh=0, carbon_kg=0)
        for name, gpus in (("gpu", 12), ("rack", 8))
    ]
    placed = placement(asked, "alpha", "gpu", MONDAY - HOUR).model_copy(update={"components": tuple(parts)})
    record = living(gpus=20, components=asked.components, placed=placed, tenant="acme")
    assert [(held.partition, held.gpus_held) for held in seen().of(record)] == [("gpu", 16), ("rack", 8)]
    assert summed(seen().usage([record], month_of(MONDAY))) == (Usage(tenant="acme", site="alpha", gpu_h=80.0),)


def test_a_partition_that_has_left_the_fleet_holds_nothing() -> None:
    assert seen().of(living(placed=placement(job("7"), "gone", "gpu", MONDAY))) == ()


@pytest.mark.parametrize(
    ("shares", "quantile", "hours_from_start"),
    [
        ([0.5] * 9 + [1.0], 0.9, 2.0),
        ([0.5] * 8 + [0.75, 1.0], 0.9, 3.0),
        ([0.5] * 9 + [1.0], 1.0, 4.0),
        ([0.1] * 20 + [0.6], 0.5, 2.4),  # it has run for a quarter of its limit: shorter runs tell nothing
        ([0.1] * 20, 0.5, None),
        ([0.5] * (FEWEST_RUNS - 1), 0.9, None),
        ([0.5] * 20, None, None),
    ],
)
def test_earlier_runs_tell_when_it_will_likely_have_ended(
    shares: list[float], quantile: float | None, hours_from_start: float | None
) -> None:
    (held,) = seen(end_quantile=quantile, past_shares={"ann": shares}).of(living())
    expected = None if hours_from_start is None else MONDAY + (hours_from_start - 1) * HOUR
    assert held.likely_until == expected
    assert held.until == MONDAY + 3 * HOUR


def test_usage_counts_this_month_only() -> None:
    first = MONDAY.replace(day=1)
    assert month_of(MONDAY) == first
    record = living(tenant="acme").model_copy(update={"start": first - 2 * HOUR})
    early = Occupations(TWO_KINDS, TWO_KINDS.hardware, first, SLOT_S)
    assert early.usage([record], first) == (Usage(tenant="acme", site="alpha", gpu_h=16.0),)
    assert seen().usage([living()], first) == ()


def bill(store: Repository, job_id: int, tenant: str | None, end: Any) -> None:
    store.add(
        LedgerEntry(
            job=str(job_id), user="ann", tenant=tenant, project=None, site="alpha", state=JobState.COMPLETED, gpus=8,
            submit=end - 3 * HOUR, start=end - 2 * HOUR, end=end, planned_kwh=None, planned_carbon_kg=None, kwh=1,
            carbon_kg=1, egress_kg=0, energy_method=EnergyMethod.MODEL, baseline_site="alpha", baseline_kwh=1,
            baseline_carbon_kg=1, carbon_source="test", carbon_method="lifecycle",
        )
    )  # fmt: skip


def test_the_ledger_tells_what_tenants_have_had(store: Repository, submission: Callable[..., Submission]) -> None:
    first = month_of(MONDAY)
    ids = [store.submit(submission()) for _ in range(4)]
    bill(store, ids[0], "acme", first)
    bill(store, ids[1], "acme", first + HOUR)
    bill(store, ids[2], "acme", MONDAY)
    bill(store, ids[3], None, MONDAY)
    assert summed(store.usage(first)) == (Usage(tenant="acme", site="alpha", gpu_h=24.0),)


def test_past_shares_are_those_of_runs_that_ended_by_themselves(
    store: Repository, submission: Callable[..., Submission], clock: FixedClock
) -> None:
    for state, hours in (
        (JobState.COMPLETED, 0.5),
        (JobState.CANCELLED, 0.1),
        (JobState.TIMEOUT, 1.01),
        (JobState.FAILED, 0.25),
    ):
        job_id = store.submit(submission(time_limit_s=3600))
        plan = everything_at([store.job(job_id).job], "alpha", "gpu", MONDAY)
        store.commit(plan, {job_id: 1})
        attempt = store.job(job_id).attempt
        assert attempt
        told = RunReport(
            job=str(job_id), attempt=attempt, state=state, exit_code=ExitCode(), start=MONDAY, end=MONDAY + hours * HOUR
        )
        assert store.apply(told)
    assert store.past_shares({"ann", "bob"}) == {"ann": (0.25, 1.0, 0.5)}
    assert store.past_shares(set()) == {}


def test_an_order_has_the_limit_of_its_place(store: Repository, submission: Callable[..., Submission]) -> None:
    job_id = store.submit(submission(runtime_factors={"box8": 2.0}))
    plan = everything_at([store.job(job_id).job], "alpha", "gpu", MONDAY)
    store.commit(plan, {job_id: 1}, limits_s={str(job_id): 7200})
    assert [order.time_limit_s for order in store.orders()] == [7200]
