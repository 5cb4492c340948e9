"""What csched saves on real grids, held against GAIA's carbon-time at the same mean wait and against the oracle.

Two questions, each three days of invented work at 65 % load, played by the simulator with all accounts:

- One site (FR, DE, ES, GB; nothing but time to choose): at several prices of waiting, does csched save more carbon than
  carbon-time at the same mean wait? Hourly life-cycle intensities of May 2023, known beforehand to both.
- Five sites (DE, ES, NL, PL, SE) with forecasts as issued each midnight of November 2021: how much of what the oracle
  saves does csched save?

Ends with 1 where csched is dominated or captures less than LEAST_CAPTURED. Writes carbon_saved.json and
carbon_saved.svg into bench/simulation. python -m bench.carbon_saved
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.placement.pictures import saved_over_wait
from csched.carbon.csv_source import CsvSource
from csched.ports import CarbonSource
from csched.testing.builders import fleet, site
from csched.topology.catalogue import hardware_of
from csched_sim.setting import Setting
from csched_sim.simulation import Simulation, StrategyResult, simulate
from csched_sim.traces.generator import generate
from csched_sim.traces.trace import TraceJob

HERE = Path(__file__).parent / "simulation"
SHARED = Path(os.environ.get("CSCHED_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data") / "carbon"
"""Folder of the shared carbon data."""
COUNTRIES = ("FR", "DE", "ES", "GB")
FORETOLD = ("DE", "ES", "NL", "PL", "SE")
WAIT_KG = (0.1, 0.03, 0.01, 0.003, 0.0)
LOAD, DAYS, SEED, NODES = 0.65, 3, 20261122, 50
LEAST_CAPTURED = 0.9


def main() -> int:
    if not SHARED.is_dir():
        sys.stdout.write("left out: the shared carbon data is not at hand (set CSCHED_SHARED_DATA)\n")
        return 0
    told = {country: _lone(country) for country in COUNTRIES}
    faults = [f"{country}: {fault}" for country, window in told.items() for fault in dominated(window)]
    told["five sites"] = _foretold()
    captured = told["five sites"]["curves"]["csched"][0]["saved"] / told["five sites"]["clairvoyant"]["saved"]
    sys.stdout.write(f"five sites: captured {captured:.1%} of what the oracle saves\n")
    if captured < LEAST_CAPTURED:
        faults.append(f"five sites: captured {captured:.1%}")
    for fault in faults:
        sys.stdout.write(f"MISS {fault}\n")
    HERE.mkdir(exist_ok=True)
    (HERE / "carbon_saved.json").write_text(json.dumps(told, indent=1) + "\n")
    saved_over_wait({country: told[country] for country in COUNTRIES}, HERE / "carbon_saved.svg")
    return 1 if faults else 0


def dominated(window: Mapping[str, Any]) -> list[str]:
    """Where, at the mean wait of carbon-time, csched saves less; between its prices of waiting by a straight line."""
    [rival] = window["curves"]["carbon-time"]
    ours = sorted((point["mean_wait_h"], point["saved"]) for point in window["curves"]["csched"])
    waits, saved = zip(*ours, strict=True)
    mine = float(np.interp(rival["mean_wait_h"], waits, saved))
    if mine > rival["saved"]:
        return []
    return [f"at {rival['mean_wait_h']:.2f} h of wait carbon-time saves {rival['saved']:.2%}, csched {mine:.2%}"]


def work(setting: Setting, start: datetime) -> list[TraceJob]:
    """Work that keeps the fleet busy to LOAD, the sites being home to its jobs in turn."""
    sample = list(generate(2_000, SEED, start, DAYS))
    hours_each = sum(traced.job.gpus * traced.runtime_s for traced in sample) / 3600 / len(sample)
    jobs = generate(round(LOAD * setting.gpus * 24 * DAYS / hours_each), SEED, start, DAYS)
    homes = [site.id for site in setting.fleet.sites]
    return [
        traced._replace(job=traced.job.model_copy(update={"home_site": homes[number % len(homes)]}))
        for number, traced in enumerate(jobs)
    ]


def _lone(country: str) -> dict[str, Any]:
    names = ["carbon-time", *(f"csched:wait={wait:g}" for wait in WAIT_KG), "oracle"]
    sky = CsvSource(SHARED / "em_lca_2021-2023" / f"{country}.csv.gz")
    return _played([country], sky, datetime(2023, 5, 8, tzinfo=UTC), names)


def _foretold() -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        for name in ("carboncast_forecasts_2021H2.csv.gz", "carboncast_actuals_2020-2021"):
            Path(folder, name).symlink_to(SHARED.resolve() / name)
        names = ["csched", *(f"csched:wait={wait:g}" for wait in WAIT_KG), "oracle"]
        return _played(FORETOLD, CsvSource(Path(folder)), datetime(2021, 11, 8, tzinfo=UTC), names)


def _played(zones: Sequence[str], sky: CarbonSource, start: datetime, names: Sequence[str]) -> dict[str, Any]:
    where = fleet(*(site(zone.lower(), zone=zone, nodes=NODES, hardware="dgx-h100") for zone in zones))
    setting = Setting(where, dict(hardware_of(where)), sky, None, SEED, 900, 172_800, 0)
    trace = work(setting, start)
    played = simulate(trace, setting, names, "easy")
    base_kg = next(_kg(result, played) for result in played.results if result.name == "easy")
    curves: dict[str, list[dict[str, float]]] = {}
    for result in played.results:
        point = {
            "saved": round(1 - _kg(result, played) / base_kg, 5),
            "mean_wait_h": round(float(result.accounts.wait_h.mean()), 3),
            "cpu_s": round(result.cpu_s, 1),
        }
        sys.stdout.write(f"{'+'.join(zones):15} {result.name:18} {len(result.outcome.runs)} jobs {point}\n")
        sys.stdout.flush()
        curves.setdefault(result.name.partition(":")[0], []).append(point)
    [foreseen] = curves.pop("oracle")
    bound = round(1 - played.bound.carbon_kg / base_kg, 5)
    return {"jobs": len(trace), "curves": curves, "clairvoyant": foreseen, "bound": bound}


def _kg(result: StrategyResult, played: Simulation) -> float:
    inside = [run.traced.job.job in played.compared for run in result.outcome.runs]
    return float(result.accounts.carbon_kg[np.array(inside)].sum())


if __name__ == "__main__":
    sys.exit(main())
