"""From a scenario to its simulation: reads every file that it names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from csched.carbon.sources import open_source
from csched.domain.site import Fleet
from csched.errors import InputError, Where
from csched.formats.fleet import read_fleet
from csched.topology.catalogue import hardware_of
from csched_policies.load import load_policies
from csched_sim.checkpoint import Checkpoint
from csched_sim.scenario import Scenario
from csched_sim.setting import Setting
from csched_sim.simulation import Simulation, Watch, simulate
from csched_sim.strategies import strategy
from csched_sim.traces.reading import read_trace
from csched_sim.traces.trace import ReadingNotes, TraceJob
from csched_sim.workload import draw


@dataclass(frozen=True)
class Played:
    scenario: Scenario
    notes: ReadingNotes
    simulation: Simulation
    checkpoint: Checkpoint | None = None


def play(
    scenario: Scenario,
    watch: Watch = lambda _name: None,
    progress: Callable[[int], None] = lambda _ended: None,
    sized: Callable[[int], None] = lambda _jobs: None,
    kept: Path | None = None,
) -> Played:
    """Read, then simulate. `sized` learns how many jobs there are before the first strategy begins.

    `kept` is a folder for what is finished already, from which an interrupted simulation goes on.

    Raises:
        UsageError: an unknown strategy; said before anything is read.
        InputError: a file that is missing or wrong.
    """
    for name in (*scenario.strategies, scenario.baseline):
        strategy(name)
    fleet = read_fleet(scenario.fleet)
    _refuse_unknown_sites(scenario, fleet)
    setting = Setting(
        fleet=fleet,
        hardware=dict(hardware_of(fleet)),
        carbon=open_source(scenario.carbon, scenario.carbon_risk),
        policies=load_policies(scenario.policies, fleet) if scenario.policies else None,
        seed=scenario.seed,
        slot_s=scenario.slot,
        horizon_s=scenario.horizon,
        work=scenario.work,
        world=scenario.world,
        progress=progress,
    )
    trace, notes = _work(scenario)
    sized(len(trace))
    checkpoint = Checkpoint.of(kept, setting, trace, f"{scenario.carbon} {scenario.carbon_risk}") if kept else None
    simulation = simulate(trace, setting, scenario.strategies, scenario.baseline, watch, checkpoint=checkpoint)
    return Played(scenario, notes, simulation, checkpoint)


def _work(scenario: Scenario) -> tuple[list[TraceJob], ReadingNotes]:
    if scenario.trace is not None:
        return read_trace(scenario.trace, scenario.format, start=scenario.start, limit=scenario.jobs)
    if scenario.workload is None:  # the validator has refused such a scenario
        raise ValueError(scenario.name)
    trace = draw(scenario.workload.share_of(scenario.share), scenario.seed)[: scenario.jobs]
    notes = ReadingNotes(Path(scenario.name), "workload", lines=len(trace))
    notes.assume("the work is invented: streams of like jobs, drawn from the seed")
    return trace, notes


def _refuse_unknown_sites(scenario: Scenario, fleet: Fleet) -> None:
    for name in sorted(scenario.world.named_sites() - {site.id for site in fleet.sites}):
        raise InputError(
            f"`{name}` is not a site of the fleet",
            hint=f"there are {', '.join(site.id for site in fleet.sites)}",
            where=Where(field="world"),
        )
