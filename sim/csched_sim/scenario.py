"""A simulation as a file: which fleet, trace, carbon, rules and strategies, and what is expected to come out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from csched.domain.base import Instant, Value
from csched.domain.carbon import CarbonRisk
from csched.errors import InputError, Where
from csched.formats.files import read_text
from csched.formats.validation import input_error
from csched.formats.yaml_document import load_document
from csched_sim.conditions import UNDISTURBED, Conditions, Duration
from csched_sim.workload import Workload


class Range(Value):
    """What a figure is expected to be: at least, at most, or both."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Range":
        if self.at_least is None and self.at_most is None:
            raise ValueError("give `at_least`, `at_most` or both")
        return self

    def holds(self, value: float | None) -> bool:
        """A figure that does not exist meets no expectation."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Scenario(Value):
    """Relative paths count from the folder of the file."""

    schema_: Literal["csched/scenario/1"] = Field(default="csched/scenario/1", alias="schema")
    name: str = Field(min_length=1, max_length=100)
    about: str | None = Field(default=None, max_length=4000)
    fleet: Path
    trace: Path | None = None
    workload: Workload | None = None
    """Instead of a trace: streams of like jobs."""
    share: float = Field(default=1.0, gt=0, le=1)
    """How much of the workload to draw: a small one shows the same in less time."""
    format: Literal[
        "swf", "sacct", "sacct-json", "philly", "helios", "acme", "pai", "openb", "supercloud", "surf", "csched"
    ] | None = None  # fmt: skip
    """null: told by the file's content."""
    carbon: str
    """A CSV, a folder of them or the word `climatology`."""
    carbon_risk: CarbonRisk = CarbonRisk.EXPECTED
    """Decide by what forecasts expect, or by their upper end; the accounts go by what came."""
    policies: Path | None = None
    strategies: tuple[str, ...] = Field(default=("fifo", "easy", "csched"), min_length=1, max_length=50)
    baseline: str = "easy"
    start: Instant | None = None
    """Moves the trace so that its first submission is at this instant."""
    jobs: int | None = Field(default=None, ge=1)
    """Only the first so many by submission."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    slot: Duration = 900
    """Seconds, or a text such as 15m: the grid of planning cycles and starts."""
    horizon: Duration = 48 * 3600
    work: int = Field(default=0, ge=0)
    """How hard each planning cycle tries."""
    world: Conditions = UNDISTURBED
    """What goes on beside the trace: drains, openings, failures, other people's jobs."""
    expected: Mapping[str, Mapping[str, Range]] = {}
    """Strategy -> field of its summary -> range."""
    findings: Mapping[str, Mapping[str, str]] = {}
    """Strategy -> field whose expectation is known not to be met -> why: shown, never tuned away."""

    @model_validator(mode="after")
    def _has_work(self) -> "Scenario":
        if (self.trace is None) == (self.workload is None):
            raise ValueError("give either `trace` or `workload`")
        return self


def read_scenario(path: Path) -> Scenario:
    """The scenario in a YAML file, its paths resolved.

    Raises:
        InputError: with file, line, field and what was expected.
    """
    document = load_document(read_text(path), str(path))
    if not isinstance(document.data, dict):
        raise InputError(
            "a mapping with `name`, `fleet`, `trace` or `workload`, and `carbon` was expected", where=Where(str(path))
        )
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, Scenario) from error
    return _resolved(scenario, path.parent)


def _resolved(scenario: Scenario, folder: Path) -> Scenario:
    places: dict[str, object] = {"fleet": folder / scenario.fleet}
    if scenario.trace is not None:
        places["trace"] = folder / scenario.trace
    if scenario.policies is not None:
        places["policies"] = folder / scenario.policies
    if scenario.carbon != "climatology":
        places["carbon"] = str(folder / scenario.carbon)
    return scenario.model_copy(update=places)
