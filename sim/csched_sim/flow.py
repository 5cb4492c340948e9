"""Simulations of more jobs than are to be kept: runs are accounted for as they end, written, and let go."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from csched_sim.accounts import account, true_intensities
from csched_sim.outcome import Run
from csched_sim.outputs import JOBS_SCHEMA, never_ran_rows, run_rows
from csched_sim.setting import Setting
from csched_sim.strategies import strategy
from csched_sim.traces.trace import TraceJob

AT_ONCE: Final = 20_000
"""Runs that are accounted for together, and one row group of the file."""


@dataclass
class Totals:
    """Sums over all runs."""

    jobs: int = 0
    never_ran: int = 0
    gpu_hours: float = 0.0
    kwh: float = 0.0
    carbon_kg: float = 0.0
    wait_h: float = 0.0


def play_through(name: str, trace: Iterable[TraceJob], setting: Setting, jobs_file: Path) -> Totals:
    """The ordered trace under one strategy; each job is read when its time comes, and ends in `jobs_file`.

    `oracle` alone needs the trace as a whole: it foresees it.

    Raises:
        UsageError: an unknown strategy.
        InputError: a zone or time that the carbon source does not know.
    """
    play = strategy(name)
    with pq.ParquetWriter(jobs_file, JOBS_SCHEMA) as writer:
        flow = _Flow(name, setting, writer)
        outcome = play(trace, replace(setting, sink=flow.take))
        flow.settle()
        flow.write(never_ran_rows(name, outcome.never_ran))
    flow.totals.never_ran = len(outcome.never_ran)
    return flow.totals


@dataclass
class _Flow:
    name: str
    setting: Setting
    writer: pq.ParquetWriter
    totals: Totals = field(default_factory=Totals)
    _runs: list[Run] = field(default_factory=list)

    def take(self, run: Run) -> None:
        self._runs.append(run)
        if len(self._runs) == AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Account for what has ended since, and let it go."""
        runs, self._runs = self._runs, []
        if not runs:
            return
        first_s, last_s = min(run.start_s for run in runs), max(run.end_s for run in runs)
        accounts = account(runs, self.setting, true_intensities(self.setting, first_s, last_s))
        self.totals.jobs += len(runs)
        self.totals.gpu_hours += accounts.gpu_hours
        self.totals.kwh += float(accounts.kwh.sum())
        self.totals.carbon_kg += float(accounts.carbon_kg.sum())
        self.totals.wait_h += float(accounts.wait_h.sum())
        self.write(run_rows(self.name, runs, accounts))

    def write(self, rows: Iterable[dict[str, object]]) -> None:
        self.writer.write_table(pa.Table.from_pylist(list(rows), schema=JOBS_SCHEMA))
