"""Many simulations at once: one scenario with some of its fields varied, every combination a run of its own.

Runs are independent: each has its folder, one that fails loses no other, and what is finished is not run again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from csched.domain.base import Value
from csched.errors import CschedError, InputError, Where
from csched.formats.files import read_text
from csched.formats.validation import input_error
from csched.formats.yaml_document import load_document
from csched_sim.outputs import write_outputs
from csched_sim.play import play
from csched_sim.scenario import Scenario, read_scenario

MOST_RUNS = 10_000
Varied = Literal["seed", "slot", "horizon", "work", "share", "jobs", "baseline", "fleet", "trace", "carbon", "policies"]


class Sweep(Value):
    """Relative paths count from the folder of the file."""

    schema_: Literal["csched/sweep/1"] = Field(default="csched/sweep/1", alias="schema")
    name: str = Field(min_length=1, max_length=100)
    about: str | None = Field(default=None, max_length=4000)
    scenario: Path
    strategies: tuple[str, ...] = Field(default=(), max_length=50)
    """Instead of the scenario's own."""
    vary: Mapping[Varied, tuple[Any, ...]]
    """Field of the scenario -> its values, written as in a scenario."""


@dataclass(frozen=True)
class Planned:
    """One run of a sweep, before it is run."""

    name: str
    settings: Mapping[str, Any]
    scenario: Scenario


@dataclass(frozen=True)
class Ended:
    name: str
    settings: Mapping[str, Any]
    summary: Mapping[str, Any] | None
    error: str | None


def read_sweep(path: Path) -> tuple[Sweep, list[Planned]]:
    """The sweep in a YAML file and its runs, in the order of the values.

    Raises:
        InputError: with file, line, field and what was expected.
    """
    document = load_document(read_text(path), str(path))
    if not isinstance(document.data, dict):
        raise InputError("a mapping with `name`, `scenario` and `vary` was expected", where=Where(str(path)))
    try:
        sweep = Sweep.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, Sweep) from error
    base = read_scenario(path.parent / sweep.scenario)
    if sweep.strategies:
        base = base.model_copy(update={"strategies": sweep.strategies})
    return sweep, list(_runs(sweep, base, path))


def _runs(sweep: Sweep, base: Scenario, path: Path) -> Iterator[Planned]:
    combinations = list(product(*sweep.vary.values()))
    if len(combinations) > MOST_RUNS:
        raise InputError(
            f"{len(combinations):,} runs are more than {MOST_RUNS:,}", where=Where(str(path), field="vary")
        )
    for number, values in enumerate(combinations, start=1):
        settings = dict(zip(map(str, sweep.vary), values, strict=True))
        resolved = {key: _resolved(key, value, path.parent) for key, value in settings.items()}
        try:
            scenario = Scenario.model_validate({**base.model_dump(by_alias=True), **resolved})
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(str(first["msg"]), where=Where(str(path), field=f"vary.{first['loc'][0]}")) from error
        yield Planned(f"{number:04d}", settings, scenario)


def _resolved(key: str, value: Any, folder: Path) -> Any:
    is_path = key in {"fleet", "trace", "policies"} or (key == "carbon" and value != "climatology")
    return str(folder / value) if is_path and isinstance(value, str) else value


def run_one(planned: Planned, folder: Path) -> Ended:
    """Simulate, or take what an earlier sweep left in the folder; an error is written there and told, not raised."""
    digest = hashlib.sha256(planned.scenario.model_dump_json().encode()).hexdigest()
    done = folder / "done.json"
    summary = _found(done, digest, folder)
    if summary is not None:
        return Ended(planned.name, planned.settings, summary, None)
    try:
        summary = write_outputs(play(planned.scenario), folder)
    except CschedError as error:
        return Ended(planned.name, planned.settings, None, str(error))
    done.write_text(json.dumps({"digest": digest}), encoding="utf-8")
    return Ended(planned.name, planned.settings, summary, None)


def _found(done: Path, digest: str, folder: Path) -> Mapping[str, Any] | None:
    try:
        if json.loads(done.read_text(encoding="utf-8")).get("digest") != digest:
            return None
        found: Mapping[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def run_all(
    runs: list[Planned], out: Path, address: str | None, progress: Callable[[Ended], None] = lambda _ended: None
) -> list[Ended]:
    """All runs on dask's workers, those of `address` or one for each core of this machine, in the order of `runs`."""
    from distributed import Client, LocalCluster, as_completed

    ended: dict[str, Ended] = {}
    cluster = None if address else LocalCluster(threads_per_worker=1, dashboard_address=None)
    try:
        with Client(address or cluster) as client:
            submitted = {
                client.submit(run_one, planned, out.resolve() / "runs" / planned.name, pure=False, retries=1): planned
                for planned in runs
            }
            for future in as_completed(submitted):
                planned = submitted[future]
                failed = future.exception()
                one = Ended(planned.name, planned.settings, None, repr(failed)) if failed else future.result()
                ended[planned.name] = one
                progress(one)
    finally:
        if cluster is not None:
            cluster.close()
    return [ended[planned.name] for planned in runs]
