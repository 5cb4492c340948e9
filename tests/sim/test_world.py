"""What befalls a simulated fleet beside its jobs, for the routed strategies and for csched alike."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from csched.carbon.sources import open_source
from csched.clock import epoch_s, from_epoch_s
from csched.domain.carbon import CarbonOutlook
from csched.domain.site import Fleet
from csched.errors import InputError
from csched.ports import CarbonSource
from csched.testing.builders import BOX, MONDAY, fleet, job, site
from csched.testing.carbon import FixedCarbon
from csched_sim.conditions import Conditions
from csched_sim.outcome import Outcome
from csched_sim.play import play
from csched_sim.scenario import Scenario
from csched_sim.setting import Setting
from csched_sim.simulation import simulate
from csched_sim.strategies import STRATEGIES, strategy
from csched_sim.traces.generator import generate
from csched_sim.traces.trace import TraceJob

START_S = epoch_s(MONDAY)
HOUR_S = 3600
FLAT = FixedCarbon({"DE": 400, "FR": 50})
DISTURBED = [name for name in STRATEGIES if name not in {"oracle", "wait-awhile"}]


def hour(number: float) -> datetime:
    return MONDAY + timedelta(hours=number)


def setting(where: Fleet, *, carbon: CarbonSource = FLAT, seed: int = 0, **world: object) -> Setting:
    return Setting(where, {"box8": BOX}, carbon, None, seed, 900, 86_400, 0, Conditions.model_validate(world))


def traced(name: str, hours: float = 1.0, *, after_h: float = 0, **columns: object) -> TraceJob:
    work = job(name, hours=hours, submit=hour(after_h), **columns)
    return TraceJob(work, work.time_limit_s)


def begun(outcome: Outcome) -> dict[str, tuple[str, float]]:
    return {run.traced.job.job: (run.berth.site.id, (run.start_s - START_S) / HOUR_S) for run in outcome.runs}


ONE = fleet(site("alpha", zone="DE"))
TWO = fleet(site("alpha", zone="DE"), site("beta", zone="FR"))


@pytest.mark.parametrize("name", DISTURBED)
def test_a_drained_site_starts_nothing_new_and_lets_run_what_runs(name: str) -> None:
    trace = [traced("before", 3), traced("during", after_h=1, deadline=hour(20))]
    drain = {"site": "alpha", "from": hour(0.5), "to": hour(6), "why": "new cooling"}
    assert begun(strategy(name)(trace, setting(ONE, drains=[drain]))) == {
        "before": ("alpha", 0),
        "during": ("alpha", 6),
    }


@pytest.mark.parametrize("name", [name for name in DISTURBED if name not in {"fifo", "easy"}])
def test_a_site_takes_jobs_from_the_day_it_opens(name: str) -> None:
    """Home is the site that opens late; who may, goes elsewhere until then."""
    where = fleet(site("alpha", zone="DE"), site("beta", zone="FR"), home={"default": "beta"})
    trace = [traced("early"), traced("late", after_h=5)]
    openings = [{"site": "beta", "at": hour(4)}]
    placed = begun(strategy(name)(trace, setting(where, openings=openings)))
    assert placed["early"] == ("alpha", 0)
    if name != "least-loaded":  # by then both are empty, and alpha comes first
        assert placed["late"] == ("beta", 5)


@pytest.mark.parametrize("name", ["easy", "csched"])
def test_a_job_whose_node_fails_goes_on_from_its_checkpoint(name: str) -> None:
    """The node fails about every five hours and is repaired in one: forty hours of work get done none the less."""
    failing = {"node_mtbf": "5h", "repair": "1h"}
    [run] = strategy(name)([traced("a", 40)], setting(ONE, failures=failing, checkpoint="1h", seed=3)).runs
    assert len(run.stretches) > 2
    worked_s = sum(stretch.end_s - stretch.start_s for stretch in run.stretches)
    lost_s = worked_s - 40 * HOUR_S
    assert 0 < lost_s < (len(run.stretches) - 1) * HOUR_S, "less than an hour is lost with each failure"
    for earlier, later in zip(run.stretches, run.stretches[1:], strict=False):
        assert later.start_s >= earlier.end_s + HOUR_S, "nothing runs on the only node while it is repaired"


def test_without_checkpoints_a_job_begins_again() -> None:
    failing = {"node_mtbf": "20h", "repair": "1h"}
    [run] = strategy("easy")([traced("a", 10)], setting(ONE, failures=failing, seed=1)).runs
    assert len(run.stretches) > 1
    last = run.stretches[-1]
    assert last.end_s - last.start_s == 10 * HOUR_S


def test_what_was_lost_is_paid_for() -> None:
    failing = {"node_mtbf": "5h", "repair": "1h"}
    ruled = setting(ONE, failures=failing, checkpoint="1h", seed=3)
    [result] = simulate([traced("a", 40)], ruled, ["easy"], "easy").results
    [run] = result.outcome.runs
    worked_h = sum(stretch.end_s - stretch.start_s for stretch in run.stretches) / HOUR_S
    assert result.accounts.kwh[0] == pytest.approx(8 * worked_h)
    assert result.accounts.carbon_kg[0] == pytest.approx(8 * worked_h * 400 / 1000)
    assert result.accounts.wait_h[0] == pytest.approx((run.end_s - START_S) / HOUR_S - 40)


@pytest.mark.parametrize("name", ["easy", "csched"])
def test_the_site_s_own_jobs_come_first_and_are_not_counted(name: str) -> None:
    """Strangers hold half of the site on average: the same work takes longer, and no account knows of them."""
    trace = [traced(str(number), 2, after_h=number, deadline=hour(200)) for number in range(30)]
    where = fleet(site("alpha", zone="DE", nodes=2))
    alone = strategy(name)(trace, setting(where)).runs
    beside = strategy(name)(trace, setting(where, background=[{"site": "alpha", "share": 0.5}])).runs
    assert {run.traced.job.job for run in beside} == {run.traced.job.job for run in alone} == set(map(str, range(30)))
    assert sum(run.start_s for run in beside) > sum(run.start_s for run in alone)


def test_the_same_seed_brings_the_same_failures_to_every_run_and_another_does_not() -> None:
    trace = list(generate(40, 3, MONDAY, 1))

    def ends(seed: int) -> list[int]:
        failing = {"node_mtbf": "50h", "repair": "2h"}
        where = fleet(site("alpha", zone="DE", nodes=8))
        return [run.end_s for run in strategy("easy")(trace, setting(where, failures=failing, seed=seed)).runs]

    assert ends(1) == ends(1) != ends(2)


def test_a_cap_on_power_that_changes_over_the_day_is_kept_by_csched() -> None:
    caps = [{"from": hour(0), "to": hour(5), "kw": 7}, {"from": hour(5), "to": hour(48), "kw": 9}]
    where = fleet(site("alpha", zone="DE", nodes=4, it_power_cap_kw=caps))
    outcome = strategy("csched")([traced("a"), traced("b")], setting(where))
    assert sorted(at for _, at in begun(outcome).values()) == [5, 6]


@pytest.mark.parametrize("name", ["easy", "csched", "greenest", "carbon-time"])
def test_a_start_waits_for_its_data(name: str) -> None:
    links = [{"between": ["alpha", "beta"], "gbit_per_s": 8}]
    where = fleet(site("alpha", zone="DE"), site("beta", zone="FR"), links=links, home={"default": "beta"})
    wanted = traced("a", countries=["FR"], data_site="alpha", data_gb=3600.0)
    assert begun(strategy(name)([wanted], setting(where))) == {"a": ("beta", 1)}


@dataclass
class Watched:
    """Passes questions on and remembers what was asked, and when the last value that was told became known."""

    source: CarbonSource
    asked: list[tuple[datetime, CarbonOutlook]] = field(default_factory=list)

    def outlook(self, zones: Sequence[str], now: datetime, start: datetime, end: datetime) -> CarbonOutlook:
        told = self.source.outlook(zones, now, start, end)
        self.asked.append((now, told))
        return told


@pytest.mark.parametrize("name", ["csched", "greenest", "lowest-window", "carbon-time", "wait-awhile"])
def test_no_decision_sees_what_was_not_known_yet(tmp_path: Path, name: str) -> None:
    """The truth is 1000 + hour; every six hours a forecast says issue + lead / 1000, and no other may be told."""
    hours = range(24 * 14)
    measured = [f"{hour(h).isoformat()},DE,{1000 + h}" for h in hours]
    (tmp_path / "measured.csv").write_text("timestamp,zone,carbon_intensity_lca\n" + "\n".join(measured))
    issued = [
        f"{hour(first).isoformat()},{hour(first + lead).isoformat()},DE,{first + lead / 1000}"
        for first in hours[::6]
        for lead in range(96)
    ]
    (tmp_path / "forecast.csv").write_text("issue_time,timestamp,zone,forecast_lca\n" + "\n".join(issued))
    watched = Watched(open_source(str(tmp_path)))
    trace = [traced(str(number), 2, after_h=24 + 2.6 * number) for number in range(8)]
    outcome = strategy(name)(trace, setting(ONE, carbon=watched))
    assert len(outcome.runs) == 8
    assert watched.asked
    for now, told in watched.asked:
        series = told.zone("DE")
        issue = (epoch_s(now) - START_S) // HOUR_S // 6 * 6
        ahead = [at for at in series.starts_s if at > epoch_s(now) and at < START_S + (issue + 96) * HOUR_S]
        assert ahead
        for at in ahead:
            lead = (at - START_S) // HOUR_S - issue
            assert series.at(from_epoch_s(at)) == pytest.approx(issue + lead / 1000)


def test_an_unknown_site_in_the_world_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(
        "schema: csched/fleet/1\nsites: [{id: alpha, country: DE, grid_zone: DE, pue: 1.1, "
        "partitions: [{name: gpu, hardware: dgx-a100, nodes: 1}]}]\n"
    )
    asked = {"name": "x", "fleet": tmp_path / "fleet.yaml", "trace": "t.csv", "carbon": "climatology"}
    wrong = Scenario.model_validate({**asked, "world": {"openings": [{"site": "gamma", "at": MONDAY}]}})
    with pytest.raises(InputError, match="`gamma` is not a site"):
        play(wrong)
