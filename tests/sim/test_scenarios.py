"""Every shipped scenario at a small size: its expectations hold, or it says beforehand which do not and why."""

import pytest

from csched import shipped
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
