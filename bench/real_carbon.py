"""What planning is worth on the real grid: three days of synthetic jobs in May and in November 2023, on 6,000 GPUs.

csched plans on each hour from where it stood, by the very `decide` of production, at several prices of waiting; its
fair rival books each job at its arrival at the cleanest of all sites and starts that it may wait for, at several
thresholds; a clairvoyant schedule knows all jobs at the beginning and minds carbon alone. Saved is carbon against first
come first served with EASY backfilling at home, over the jobs that every policy started; nobody who starts all jobs in
time saves more than the clairvoyant's bound leaves. Ends with 1 if csched at the usual price of waiting saves less than
LEAST_CAPTURED of what the clairvoyant saves, or anywhere less than the rival at the same mean wait.
Reads the hourly intensities of the shared data set; writes real_carbon.json and real_carbon.svg into bench/placement.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.placement.pictures import saved_over_wait
from bench.placement.three_days import DEFERRAL_H, Outcome, ThreeDays, booked, clairvoyant, easy_at_home, planned
from csched.carbon.csv_source import CsvSource

HERE = Path(__file__).parent / "placement"
SHARED = Path(os.environ.get("CSCHED_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
CARBON = SHARED / "carbon" / "em_lca_2021-2023"
WINDOWS = {"May 2023": datetime(2023, 5, 9, tzinfo=UTC), "November 2023": datetime(2023, 11, 14, tzinfo=UTC)}
USUAL_WAIT_KG = 0.02
WAIT_KG_PER_GPU_H = (0.1, USUAL_WAIT_KG, 0.005, 0.0)
THRESHOLDS_H = (0, 1, 2, 4, 8, 12, 24)
LEAST_CAPTURED = 0.94
SEED = 0


def main() -> int:
    if not CARBON.is_dir():
        sys.stdout.write(f"left out: {CARBON.name} is not at hand (set CSCHED_SHARED_DATA)\n")
        return 0
    told, missed = {}, 0
    for name, start in WINDOWS.items():
        told[name] = _window(ThreeDays.of(CsvSource(CARBON), start, SEED))
        for policy, points in told[name]["curves"].items():
            for point in points:
                sys.stdout.write(
                    f"{name} {policy} at {point['at']:g}: {100 * point['saved']:.1f} % saved, "
                    f"{point['mean_wait_h']:.1f} h of wait, {point['late']} late\n"
                )
        for fault in _faults(told[name]):
            sys.stdout.write(f"MISS {name}: {fault}\n")
            missed = 1
        sys.stdout.flush()
    (HERE / "real_carbon.json").write_text(json.dumps(told, indent=1) + "\n")
    saved_over_wait(told, HERE / "real_carbon.svg")
    return missed


def _window(days: ThreeDays) -> dict[str, Any]:
    baseline = easy_at_home(days)
    foreseen, bound_kg = clairvoyant(days)
    outcomes: dict[str, dict[float, Outcome]] = {"greedy, site and threshold": {}, "csched": {}}
    cpu_s = {}
    for threshold in THRESHOLDS_H:
        outcomes["greedy, site and threshold"][threshold] = booked(threshold)(days)
    for wait_kg in WAIT_KG_PER_GPU_H:
        begun = time.process_time()
        outcomes["csched"][wait_kg] = planned(wait_kg)(days)
        cpu_s[wait_kg] = time.process_time() - begun
    every = [baseline, foreseen, *(outcome for several in outcomes.values() for outcome in several.values())]
    common = sorted(set.intersection(*[set(outcome) for outcome in every]))
    base_kg = _carbon_kg(days, baseline, common)

    def figures(outcome: Outcome) -> dict[str, float]:
        waits = [outcome[index].hour - days.arrival_h(days.jobs[index]) for index in common]
        return {
            "saved": round(1 - _carbon_kg(days, outcome, common) / base_kg, 5),
            "mean_wait_h": round(float(np.mean(waits)), 3),
            "late": sum(
                wait > DEFERRAL_H[days.jobs[index].priority] for wait, index in zip(waits, common, strict=True)
            ),
        }

    return {
        "jobs": len(days.jobs),
        "counted": len(common),
        "baseline": {"carbon_t": round(base_kg / 1000, 2), **figures(baseline)},
        "clairvoyant": {
            **figures(foreseen),
            "saved_at_most": round(1 - bound_kg / _carbon_kg(days, baseline, sorted(baseline)), 5),
            "unstarted": len(days.jobs) - len(foreseen),
        },
        "curves": {
            name: [{"at": at, **figures(outcome)} for at, outcome in several.items()]
            for name, several in outcomes.items()
        },
        "cpu_s": {str(wait_kg): round(taken, 1) for wait_kg, taken in cpu_s.items()},
    }


def _carbon_kg(days: ThreeDays, outcome: Outcome, jobs: list[int]) -> float:
    return sum(days.carbon_kg(days.jobs[index], outcome[index]) for index in jobs)


def _faults(window: dict[str, Any]) -> list[str]:
    faults = []
    ours, rival = window["curves"]["csched"], window["curves"]["greedy, site and threshold"]
    usual = next(point for point in ours if point["at"] == USUAL_WAIT_KG)
    captured = usual["saved"] / window["clairvoyant"]["saved"]
    if captured < LEAST_CAPTURED:
        faults.append(f"captured {100 * captured:.1f} % of what the clairvoyant saves")
    waits, saved = zip(*sorted((point["mean_wait_h"], point["saved"]) for point in rival), strict=True)
    for point in ours:
        of_rival = float(np.interp(point["mean_wait_h"], waits, saved))
        if point["saved"] < of_rival:
            faults.append(
                f"at {point['mean_wait_h']:.1f} h of wait {100 * point['saved']:.1f} % saved, "
                f"{100 * of_rival:.1f} % by the rival"
            )
    return faults


if __name__ == "__main__":
    sys.exit(main())
