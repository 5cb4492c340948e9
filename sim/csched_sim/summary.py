"""The figures of a simulation as contracts name them: content of summary.json and timing.json."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from csched.clock import epoch_s, format_instant, from_epoch_s
from csched.units import SECONDS_PER_HOUR
from csched_sim.scenario import Scenario
from csched_sim.simulation import Simulation, StrategyResult
from csched_sim.traces.trace import ReadingNotes, submitted

METHODS: Final = {
    "savings": "over the jobs that every strategy completed and that may lawfully run somewhere (`compared_jobs`)",
    "carbon": "location-based, over true start and end of each run; kwh include the PUE",
    "waits": "from submission, or the earliest start if later, to the start; not rounded",
    "p95": "linear interpolation between the closest ranks",
    "bounded_slowdown": "max(1, (wait + run time) / max(run time, 10 s))",
    "utilisation": "GPU-hours of the jobs / (GPUs of the fleet x makespan); GPUs held but not asked for do not count",
    "makespan": "from the first submission to the last end",
    "completion": "a run that reached its limit was cut there and counts as completed",
    "deadline_misses": "jobs that ended after their deadline, and jobs with a deadline that never ran",
    "policy_violations": "each run screened again at its own start; 0 where no policies were given",
}


def summary(simulation: Simulation, scenario: Scenario, notes: ReadingNotes) -> dict[str, object]:
    """Plain JSON values; the same for the same scenario and seed, whatever the machine was doing."""
    trace = simulation.trace
    figures = {result.name: _figures(result, simulation) for result in simulation.results}
    return {
        "schema": "csched/simulation/1",
        "scenario": scenario.name,
        "seed": scenario.seed,
        "jobs": len(trace),
        "gpu_hours": sum(traced.job.gpus * traced.runtime_s for traced in trace) / SECONDS_PER_HOUR,
        "span": {
            "start": format_instant(submitted(trace[0])),
            "end": format_instant(submitted(trace[-1])),
            "hours": (submitted(trace[-1]) - submitted(trace[0])).total_seconds() / SECONDS_PER_HOUR,
        },
        "carbon_source": simulation.carbon.source,
        "carbon_method": str(simulation.carbon.method),
        "baseline": simulation.baseline,
        "compared_jobs": len(simulation.compared),
        "bound": {"carbon_kg": simulation.bound.carbon_kg, "method": simulation.bound.method},
        "strategies": figures,
        "expectations": _expectations(scenario, figures),
        "reading": notes.as_dict(),
        "warnings": list(simulation.warnings),
        "methods": METHODS,
    }


def timing(simulation: Simulation) -> dict[str, dict[str, float]]:
    """Strategy -> seconds from the first event to the last account; reading and reporting are not in it."""
    return {
        result.name: {
            "wall_s": result.wall_s,
            "cpu_s": result.cpu_s,
            "jobs_per_cpu_s": len(simulation.trace) / result.cpu_s if result.cpu_s else 0.0,
        }
        for result in simulation.results
    }


def _figures(result: StrategyResult, simulation: Simulation) -> dict[str, float | int | None]:
    accounts, runs = result.accounts, result.outcome.runs
    compared_kg = _compared_kg(result, simulation)
    baseline = next(other for other in simulation.results if other.name == simulation.baseline)
    baseline_kg = _compared_kg(baseline, simulation)
    saved_kg, savable_kg = baseline_kg - compared_kg, baseline_kg - simulation.bound.carbon_kg
    first_s = epoch_s(submitted(simulation.trace[0]))
    makespan_h = (int(accounts.end_s.max()) - first_s) / SECONDS_PER_HOUR if runs else None
    return {
        "jobs_completed": len(runs),
        "never_ran": len(result.outcome.never_ran),
        "kwh": float(accounts.kwh.sum()),
        "carbon_kg": float(accounts.carbon_kg.sum()),
        "topology_kg": float(accounts.topology_kg.sum()),
        "egress_kg": float(accounts.egress_kg.sum()),
        "compared_carbon_kg": compared_kg,
        "saved_vs_baseline_pct": 100 * saved_kg / baseline_kg if baseline_kg > 0 else None,
        "captured_of_bound_pct": 100 * saved_kg / savable_kg if savable_kg > 0 else None,
        "mean_wait_h": float(accounts.wait_h.mean()) if runs else None,
        "p95_wait_h": float(np.percentile(accounts.wait_h, 95)) if runs else None,
        "mean_bounded_slowdown": float(accounts.bounded_slowdown.mean()) if runs else None,
        "utilisation": accounts.gpu_hours / (simulation.setting.gpus * makespan_h) if makespan_h else None,
        "makespan_h": makespan_h,
        "deadline_misses": _deadline_misses(result),
        "policy_violations": result.policy_violations,
        "mean_sigma": float(accounts.sigma.mean()) if runs else None,
        "decisions": result.outcome.decisions,
    }


def _compared_kg(result: StrategyResult, simulation: Simulation) -> float:
    inside = np.fromiter(
        (run.traced.job.job in simulation.compared for run in result.outcome.runs), bool, len(result.outcome.runs)
    )
    return float(result.accounts.carbon_kg[inside].sum())


def _deadline_misses(result: StrategyResult) -> int:
    """Jobs that ended after their deadline, and those with a deadline that never ran."""
    late = sum(
        run.traced.job.deadline is not None and from_epoch_s(run.end_s) > run.traced.job.deadline
        for run in result.outcome.runs
    )
    return late + sum(never.traced.job.deadline is not None for never in result.outcome.never_ran)


def _expectations(
    scenario: Scenario, figures: Mapping[str, Mapping[str, float | int | None]]
) -> list[dict[str, object]]:
    """Each range of the scenario beside what was seen; one that is not met is a finding, not an error."""
    return [
        {
            "strategy": name,
            "figure": figure,
            "at_least": expected.at_least,
            "at_most": expected.at_most,
            "seen": figures.get(name, {}).get(figure),
            "met": expected.holds(figures.get(name, {}).get(figure)),
            "finding": scenario.findings.get(name, {}).get(figure),
        }
        for name, ranges in scenario.expected.items()
        for figure, expected in ranges.items()
    ]
