"""Every shipped scenario at a small size: its expectations hold, or it says beforehand which do not and why."""

from collections.abc import Sequence

import pytest

from csched import shipped
from csched_sim.outcome import Run
from csched_sim.play import play
from csched_sim.scenario import read_scenario
from csched_sim.summary import summary

SCENARIOS = sorted(path.stem for path in shipped.scenarios().glob("*.yaml"))
SMALL_JOBS = 40

FOUNDING = {
    "mistral-compute", "magistral-rl", "forge", "small-models", "moe", "inference-beside-batch", "us-cloud-burst",
    "gigafactory", "eurohpc", "27-states", "on-prem",
}  # fmt: skip


def test_all_worlds_of_the_founding_documents_are_there() -> None:
    assert set(SCENARIOS) >= FOUNDING


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_was_expected_came_out_or_is_a_finding(name: str) -> None:
    scenario = read_scenario(shipped.scenarios() / f"{name}.yaml")
    small: dict[str, object] = {"jobs": 4 * SMALL_JOBS}
    if scenario.workload is not None:
        small["share"] = min(1.0, SMALL_JOBS / sum(stream.jobs for stream in scenario.workload.streams))
    played = play(scenario.model_copy(update=small))
    told = summary(played.simulation, played.scenario, played.notes)
    expectations = told["expectations"]
    assert isinstance(expectations, list)
    assert expectations, "a scenario says what must come out"
    unmet = {(each["strategy"], each["figure"]): each["seen"] for each in expectations if not each["met"]}
    known = {(strategy, figure) for strategy, figures in scenario.findings.items() for figure in figures}
    assert unmet.keys() == known, unmet


def test_batch_never_touches_the_share_of_the_assistants() -> None:
    """By day half of the 256 GPUs are set aside: csched leaves them alone, EASY knows nothing of them."""
    scenario = read_scenario(shipped.scenarios() / "inference-beside-batch.yaml")
    small = {"jobs": 120, "strategies": ("csched",)}
    simulation = play(scenario.model_copy(update=small)).simulation
    held_by = {result.name: _most_held_by_day(result.outcome.runs) for result in simulation.results}
    assert held_by["csched"] <= 128 < held_by["easy"]


def _most_held_by_day(runs: Sequence[Run]) -> int:
    """GPUs that runs hold at once between 7 and 21 h; looked at each quarter of an hour."""
    begin, end = min(run.start_s for run in runs), max(run.end_s for run in runs)
    instants = [at for at in range(begin, end, 900) if 7 * 3600 <= at % 86_400 < 21 * 3600]
    return max(
        sum(run.berth.hardware.gpus_held(run.traced.job.gpus) for run in runs if run.start_s <= at < run.end_s)
        for at in instants
    )
