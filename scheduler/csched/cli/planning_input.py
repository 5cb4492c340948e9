"""What `plan` and `verify` read: a fleet, jobs, carbon intensities and, where given, policies."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from csched.domain.snapshot import Snapshot, StandingPlan
    from csched.domain.verdict import Verdicts
    from csched.ports import Policies

R = TypeVar("R")

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@dataclass(frozen=True)
class PlanningInput:
    """Paths as given on the command line."""

    fleet: Path
    jobs: Path
    carbon: str
    policies: Path | None
    carbon_risk: str

    def read(
        self, now: datetime, horizon_s: int, slot_s: int, standing: "StandingPlan | None" = None
    ) -> "tuple[Snapshot, Policies | None]":
        """Everything a decision at `now` may know. Raises InputError with the place of what is wrong."""
        from csched.carbon.sources import open_source
        from csched.domain.carbon import CarbonRisk
        from csched.formats.fleet import read_fleet
        from csched.formats.jobs import read_jobs
        from csched.placement.snapshots import assemble
        from csched_policies.load import load_policies

        fleet = read_fleet(self.fleet)
        policies = load_policies(self.policies, fleet) if self.policies else None
        jobs, carbon = read_jobs(self.jobs), open_source(self.carbon, CarbonRisk(self.carbon_risk))
        return assemble(fleet, jobs, carbon, now, horizon_s, slot_s, standing=standing), policies


def planning_input(function: "Callable[..., R]") -> "Callable[..., R]":
    """Add --fleet, --jobs, --carbon, --carbon-risk and --policies to a command, which gets them as `given`."""

    @wraps(function)
    def with_input(
        *arguments: object,
        fleet: Path,
        jobs: Path,
        carbon: str,
        policies: Path | None,
        carbon_risk: str,
        **options: object,
    ) -> R:
        return function(*arguments, given=PlanningInput(fleet, jobs, carbon, policies, carbon_risk), **options)

    decorated = with_input
    for option in (
        click.option("--policies", type=_FOLDER, help="Folder of policies; without it only the jobs' wishes apply."),
        click.option(
            "--carbon-risk",
            type=click.Choice(["expected", "high"]),
            default="expected",
            show_default=True,
            help="Plan by what forecasts expect, or by their upper end.",
        ),
        click.option("--carbon", required=True, help="A CSV, a folder of them or the word climatology."),
        click.option("--jobs", required=True, type=_FILE, help="Jobs as CSV or JSON lines, plain or .gz."),
        click.option("--fleet", required=True, type=_FILE, help="Fleet YAML."),
    ):
        decorated = option(decorated)
    return decorated


def screened(snapshot: "Snapshot", policies: "Policies | None") -> "Verdicts | None":
    return policies.screen(snapshot.jobs, snapshot.fleet, snapshot.now) if policies else None
