"""Strategies that are through, kept on disk until the whole simulation is: an interrupted one goes on after them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csched_sim.outcome import NeverRan, Outcome, Run, Stretch
from csched_sim.setting import Setting
from csched_sim.traces.trace import TraceJob


@dataclass(frozen=True)
class Finished:
    outcome: Outcome
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Checkpoint:
    """One JSON file for each strategy in `folder`, of use only to the same work, fleet, rules, sky and seed."""

    folder: Path
    setting: Setting
    jobs: Mapping[str, TraceJob]
    digest: str

    @classmethod
    def of(cls, folder: Path, setting: Setting, trace: Sequence[TraceJob], carbon: str) -> "Checkpoint":
        digest = hashlib.sha256()
        rules = setting.policies.digest if setting.policies else ""
        knobs = (setting.seed, setting.slot_s, setting.horizon_s, setting.work, rules, carbon)
        for part in (setting.fleet.model_dump_json(), setting.world.model_dump_json(), repr(knobs)):
            digest.update(part.encode())
        for traced in trace:
            digest.update(f"{traced.job.model_dump_json()} {traced.runtime_s}".encode())
        return cls(folder, setting, {traced.job.job: traced for traced in trace}, digest.hexdigest())

    def keep(self, name: str, finished: Finished) -> None:
        outcome = finished.outcome
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {
            "digest": self.digest,
            "wall_s": finished.wall_s,
            "cpu_s": finished.cpu_s,
            "decisions": outcome.decisions,
            "runs": [
                [run.traced.job.job, run.sigma, [_stretch(part) for part in run.stretches]] for run in outcome.runs
            ],
            "never_ran": [[never.traced.job.job, never.why] for never in outcome.never_ran],
        }
        half_written = self._file(name).with_suffix(".part")
        half_written.write_text(json.dumps(document), encoding="utf-8")
        half_written.replace(self._file(name))

    def found(self, name: str) -> Finished | None:
        """What an earlier, interrupted simulation of the very same kept; null where there is nothing of use."""
        try:
            document = json.loads(self._file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if document.get("digest") != self.digest:
            return None
        never = [NeverRan(self.jobs[job], why) for job, why in document["never_ran"]]
        runs = [self._run(*row) for row in document["runs"]]
        return Finished(Outcome(runs, never, document["decisions"]), document["wall_s"], document["cpu_s"])

    def discard(self) -> None:
        """The simulation is through: nothing is left to resume."""
        if self.folder.is_dir():
            for file in self.folder.iterdir():
                file.unlink()
            self.folder.rmdir()

    def _file(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"

    def _run(self, job: str, sigma: float, parts: list[list[Any]]) -> Run:
        stretches = tuple(
            Stretch(self.setting.berth(site, partition), begin, end) for site, partition, begin, end in parts
        )
        last = stretches[-1]
        broken = stretches if len(stretches) > 1 else ()
        return Run(self.jobs[job], last.berth, stretches[0].start_s, last.end_s, sigma, broken)


def _row(run: Run) -> list[object]:
    return [run.traced.job.job, run.sigma, [_stretch(part) for part in run.stretches]]


def _stretch(stretch: Stretch) -> list[str | int]:
    return [stretch.berth.site.id, stretch.berth.partition.name, stretch.start_s, stretch.end_s]
