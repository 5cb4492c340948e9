"""One trace under several strategies, accounted for and held against a baseline and a bound."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from csched.domain.carbon import CarbonOutlook
from csched.units import SECONDS_PER_HOUR
from csched_sim.accounts import Accounts, account, true_intensities
from csched_sim.bound import Bound, carbon_bound
from csched_sim.chances import Chance, Sky, chances, reach_s, screened
from csched_sim.checkpoint import Checkpoint, Finished
from csched_sim.lawfulness import policy_violations
from csched_sim.outcome import Outcome
from csched_sim.setting import Setting, eligible_s
from csched_sim.strategies import Strategy, strategy
from csched_sim.traces.trace import TraceJob

Watch = Callable[[str], None]
"""Told the name of each strategy before it begins."""

WITHOUT_POLICIES: Final = "no policies were given: only the jobs' own wishes apply"


@dataclass(frozen=True)
class StrategyResult:
    name: str
    outcome: Outcome
    accounts: Accounts
    policy_violations: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Simulation:
    trace: Sequence[TraceJob]
    setting: Setting
    results: tuple[StrategyResult, ...]
    baseline: str
    compared: frozenset[str]
    """Ids of the jobs that every strategy completed and that have a lawful site: savings are over these alone."""
    bound: Bound
    carbon: CarbonOutlook
    """The true intensities over everything that happened."""
    warnings: tuple[str, ...]


def simulate(
    trace: Sequence[TraceJob],
    setting: Setting,
    names: Sequence[str],
    baseline: str,
    watch: Watch = lambda _name: None,
    *,
    checkpoint: Checkpoint | None = None,
) -> Simulation:
    """The ordered, non-empty trace under each named strategy and the baseline, one after the other.

    With a `checkpoint`, those that an interrupted simulation has finished are not played again.

    Raises:
        UsageError: an unknown strategy.
        InputError: a zone or time that the carbon source does not know.
    """
    chosen = {name: strategy(name) for name in dict.fromkeys((*names, baseline))}
    results = []
    for name, play in chosen.items():
        watch(name)
        results.append(_play(name, play, trace, setting, checkpoint))
    choices = _compared(trace, setting, results)
    carbon = true_intensities(setting, min(map(eligible_s, trace)), _reach_s(trace, choices, results))
    return Simulation(
        trace=trace,
        setting=setting,
        results=tuple(results),
        baseline=baseline,
        compared=frozenset(choices),
        bound=carbon_bound(list(choices.values()), Sky.of(carbon), setting.horizon_s / SECONDS_PER_HOUR),
        carbon=carbon,
        warnings=_warnings(setting, results, carbon),
    )


def _play(
    name: str, play: Strategy, trace: Sequence[TraceJob], setting: Setting, checkpoint: Checkpoint | None
) -> StrategyResult:
    finished = checkpoint.found(name) if checkpoint else None
    if finished is None:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        outcome = play(trace, setting)
        finished = Finished(outcome, time.perf_counter() - wall_s, time.process_time() - cpu_s)
        if checkpoint:
            checkpoint.keep(name, finished)
    else:
        setting.progress(len(trace))
    outcome, wall_s, cpu_s = finished.outcome, finished.wall_s, finished.cpu_s
    first_s = min(map(eligible_s, trace))
    carbon = true_intensities(setting, first_s, max((run.end_s for run in outcome.runs), default=first_s + 1))
    accounting_wall_s, accounting_cpu_s = time.perf_counter(), time.process_time()
    accounts = account(outcome.runs, setting, carbon)
    wall_s += time.perf_counter() - accounting_wall_s
    cpu_s += time.process_time() - accounting_cpu_s
    policies = setting.policies
    broken = policy_violations(outcome.runs, policies, setting.fleet) if policies else 0
    return StrategyResult(name, outcome, accounts, broken, wall_s, cpu_s)


def _compared(
    trace: Sequence[TraceJob], setting: Setting, results: Sequence[StrategyResult]
) -> dict[str, list[Chance]]:
    """The chances of the jobs that all strategies completed and that may lawfully run somewhere, by id."""
    completed = set.intersection(*({run.traced.job.job for run in result.outcome.runs} for result in results))
    jobs = [traced for traced in trace if traced.job.job in completed]
    if not jobs:
        return {}
    verdicts, windows_s = screened(jobs, setting), _windows_s(setting, results)
    found = {job.job.job: chances(job, setting, verdicts, windows_s[job.job.job], staged=False) for job in jobs}
    return {name: several for name, several in found.items() if several}


def _windows_s(setting: Setting, results: Sequence[StrategyResult]) -> dict[str, int]:
    """Job id -> the horizon, or how long some strategy let the job wait if that was longer."""
    windows: dict[str, int] = defaultdict(lambda: setting.horizon_s)
    for result in results:
        waits = (result.accounts.start_s - result.accounts.eligible_s).tolist()
        for run, wait_s in zip(result.outcome.runs, waits, strict=True):
            windows[run.traced.job.job] = max(windows[run.traced.job.job], wait_s)
    return windows


def _reach_s(trace: Sequence[TraceJob], choices: Mapping[str, list[Chance]], results: Sequence[StrategyResult]) -> int:
    last_end_s = max((run.end_s for result in results for run in result.outcome.runs), default=0)
    return max(last_end_s, reach_s(choices) if choices else 0, eligible_s(trace[-1]) + 1)


def _warnings(setting: Setting, results: Sequence[StrategyResult], carbon: CarbonOutlook) -> tuple[str, ...]:
    said = list(carbon.warnings)
    if setting.policies is None:
        said.append(WITHOUT_POLICIES)
    if any(site.it_power_cap_kw is not None for site in setting.fleet.sites):
        said.append("only csched and oracle know of power caps; the others do not keep them")
    said += [
        f"the power of {hardware.key} is an assumption" for hardware in setting.hardware.values() if hardware.assumed
    ]
    said += [f"the PUE of {site.id} is the fleet's default" for site in setting.fleet.sites if site.pue is None]
    if any(run.broken for result in results for run in result.outcome.runs):
        said.append("the bound is for uninterrupted runs: a strategy that suspends jobs can go below it")
    said += [
        f"{result.name} never ran {len(result.outcome.never_ran)} of the jobs"
        for result in results
        if result.outcome.never_ran
    ]
    return tuple(said)
