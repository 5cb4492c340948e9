from collections.abc import Callable
from pathlib import Path

import pytest

from csched import shipped


@pytest.mark.parametrize(
    ("place", "holds"),
    [
        (shipped.policy_library, "*.yaml"),
        (shipped.policy_groups, "*.yaml"),
        (shipped.fleets, "eu-2026.yaml"),
        (shipped.slurm_site, "gate/csched_gate.lua"),
    ],
)
def test_the_shipped_folders_hold_what_they_say(place: Callable[[], Path], holds: str) -> None:
    assert list(place().glob(holds))


@pytest.mark.parametrize("place", [shipped.demo_fleet, shipped.example_jobs])
def test_the_shipped_files_are_there(place: Callable[[], Path]) -> None:
    assert place().is_file()
