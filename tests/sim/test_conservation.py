"""Whatever a strategy does: no GPU twice, every job once, every kilogram accounted for."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csched.accounting import costs
from csched.carbon.sources import open_source
from csched.clock import epoch_s, from_epoch_s
from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.testing.builders import BOX, fleet, site
from csched_sim.setting import Setting, eligible_s
from csched_sim.simulation import Simulation, simulate
from csched_sim.strategies import STRATEGIES
from csched_sim.traces.generator import generate
from csched_sim.traces.trace import TraceJob, in_order

MAY = datetime(2022, 5, 2, tzinfo=UTC)
LINKS = [{"between": ["alpha", "beta"], "gbit_per_s": 1, "g_co2_per_gb": 2.0}]


def two_sites(**more: object) -> Setting:
    """alpha in Germany, where the jobs are at home, and beta in France; two boxes each."""
    where: Fleet = fleet(site("alpha", zone="DE", nodes=2), site("beta", zone="FR", nodes=2), links=LINKS, **more)
    return Setting(where, {"box8": BOX}, open_source("climatology"), None, 0, 900, 86_400, 0)


HOURS = st.integers(0, 20)
jobs = st.lists(
    st.builds(
        lambda submit_h, gpus, limit_s, share, late_h, data_gb: (submit_h, gpus, limit_s, share, late_h, data_gb),
        HOURS,
        st.sampled_from([1, 3, 8, 9, 16, 17]),
        st.integers(60, 40_000),
        st.floats(0.01, 1),
        st.one_of(st.none(), HOURS),
        st.sampled_from([0.0, 0.0, 500.0]),
    ),
    min_size=1,
    max_size=14,
)


def trace_of(drawn: Sequence[tuple[int, int, int, float, int | None, float]]) -> list[TraceJob]:
    return in_order(
        TraceJob(
            Job(
                job=f"j{number}",
                submit=MAY + timedelta(hours=submit_h),
                gpus=gpus,
                time_limit_s=limit_s,
                earliest_start=None if late_h is None else MAY + timedelta(hours=late_h),
                data_site="alpha" if data_gb else None,
                data_gb=data_gb,
            ),
            max(1, round(limit_s * share)),
        )
        for number, (submit_h, gpus, limit_s, share, late_h, data_gb) in enumerate(drawn)
    )


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=jobs)
def test_no_gpu_twice_every_job_once_nothing_lost(
    name: str, drawn: list[tuple[int, int, int, float, int | None, float]]
) -> None:
    trace = trace_of(drawn)
    simulation = simulate(trace, two_sites(), [name], name)
    [result] = simulation.results
    ran = Counter(run.traced.job.job for run in result.outcome.runs)
    never = Counter(never.traced.job.job for never in result.outcome.never_ran)
    assert ran + never == Counter(traced.job.job for traced in trace)
    assert set(never) == {traced.job.job for traced in trace if traced.job.gpus > 16}
    assert_within_capacity(simulation)
    for run in result.outcome.runs:
        assert run.start_s >= eligible_s(run.traced) + costs.transfer_s(
            run.traced.job, run.berth.site, simulation.setting.fleet
        )
        stretches = run.stretches
        assert (stretches[0].start_s, stretches[-1].end_s) == (run.start_s, run.end_s)
        assert sum(stretch.end_s - stretch.start_s for stretch in stretches) == run.traced.runtime_s
        assert all(later.start_s >= earlier.end_s for earlier, later in pairwise(stretches))


def assert_within_capacity(simulation: Simulation) -> None:
    for result in simulation.results:
        changes: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for run in result.outcome.runs:
            held = run.berth.hardware.gpus_held(run.traced.job.gpus)
            for berth, start_s, end_s in run.stretches:
                here = changes.setdefault((berth.site.id, berth.partition.name), [])
                here += [(start_s, held), (end_s, -held)]
        for (site_id, partition), here in changes.items():
            used = 0
            for _, change in sorted(here):  # at one instant the ends come first, for they are negative
                used += change
                assert used <= simulation.setting.berth(site_id, partition).capacity


def test_accounts_are_the_scalar_arithmetic_of_each_run() -> None:
    trace = list(generate(60, 3, MAY, 1))
    simulation = simulate(trace, two_sites(), ["easy", "fifo"], "easy")
    for result in simulation.results:
        for index, run in enumerate(result.outcome.runs):
            job, where, kind = run.traced.job, run.berth.site, run.berth.hardware
            power, pue = costs.it_kw(job.gpus, kind.kw_per_gpu, job.load), simulation.setting.fleet.pue(where)
            start, end = from_epoch_s(run.start_s), from_epoch_s(run.end_s)
            kg = costs.carbon_kg(power, pue, simulation.carbon.zone(where.grid_zone), start, end)
            assert result.accounts.carbon_kg[index] == pytest.approx(kg, rel=1e-9)
            assert result.accounts.kwh[index] == pytest.approx(
                costs.kwh(power, run.traced.runtime_s / 3600, pue), rel=1e-12
            )
            assert result.accounts.egress_kg[index] == costs.egress_kg(job, where, simulation.setting.fleet)


def test_the_bound_is_below_every_strategy_and_met_by_a_lone_job() -> None:
    trace = list(generate(40, 5, MAY, 2))
    simulation = simulate(trace, two_sites(), [name for name in STRATEGIES if name != "wait-awhile"], "easy")
    for result in simulation.results:
        compared = [run.traced.job.job in simulation.compared for run in result.outcome.runs]
        assert simulation.bound.carbon_kg <= result.accounts.carbon_kg[compared].sum() + 1e-9
    # One hour at the brightest hour of the day: no start, on the grid or off it, is better than the bound says.
    lone = [TraceJob(Job(job="lone", submit=MAY, gpus=8, time_limit_s=3600, load=1.0), 3600)]
    bound = simulate(lone, two_sites(), ["easy"], "easy")
    hourly = [min(bound.carbon.zone(zone).g_per_kwh[hour] for zone in ("DE", "FR")) for hour in range(24 + 1)]
    assert bound.bound.carbon_kg == pytest.approx(8 * min(hourly) / 1000, rel=1e-9)


def test_a_job_that_ends_early_makes_room_at_once() -> None:
    """Both want all of the only site; the first asked for ten hours and needs one."""
    where = fleet(site("alpha", zone="DE"))
    setting = Setting(where, {"box8": BOX}, open_source("climatology"), None, 0, 900, 86_400, 0)
    trace = [
        TraceJob(Job(job=name, submit=MAY, gpus=8, time_limit_s=36_000, earliest_start=MAY), 3_600) for name in "ab"
    ]
    [result] = simulate(trace, setting, ["easy"], "easy").results
    assert [run.start_s - epoch_s(MAY) for run in result.outcome.runs] == [0, 3_600]
