"""Speed and memory of the simulator on one core, all with all accounts; writes simulator.json into bench/simulation.

- fifo and EASY on 100,000 invented jobs: rigid jobs on 1,024 processors, sizes powers of two up to 256, run times
  log-uniform from 30 s to 12 h, limits up to four times as long, Poisson arrivals at 90 % load.
- csched on 100,000 generated jobs in 23 days, 45 for each cycle on average, on the demo fleet with twenty times its
  nodes, 43 % load.
- The most memory that a process needs that plays 1,000,000 of the rigid jobs through with EASY, reading included.

Ends with 1 where a figure leaves its range. python -m bench.simulator [JOBS]     fewer jobs, to try it; ranges aside
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from csched.carbon.sources import open_source
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Fleet, Partition
from csched.formats.fleet import read_fleet
from csched.shipped import demo_fleet
from csched.testing.builders import fleet, site
from csched.topology.catalogue import hardware_of
from csched_sim.flow import play_through
from csched_sim.setting import Setting
from csched_sim.simulation import simulate
from csched_sim.traces.generator import generate
from csched_sim.traces.trace import TraceJob

HERE = Path(__file__).parent / "simulation"
SEED = 20261122
START = datetime(2022, 1, 1, tzinfo=UTC)
PROCESSOR = Hardware(key="processor", kw_per_gpu=0.1, gpus_per_node=1, nodes_per_domain=1)
JOBS, JOBS_A_DAY = 100_000, 4_320
TIMES = 20
LEAST_JOBS_PER_CPU_S = {"easy": 25_000, "csched": 2_000}
MOST_GIB = 1.0


def rigid(jobs: int, processors: int, load: float) -> Iterator[TraceJob]:
    random = np.random.default_rng(SEED)
    sizes = 2 ** random.integers(0, 9, jobs)
    runs = np.exp(random.uniform(np.log(30), np.log(43_200), jobs)).astype(int)
    limits = np.minimum(np.ceil(runs * random.uniform(1, 4, jobs) / 300).astype(int) * 300, 86_400)
    gaps = random.exponential(np.mean(sizes * runs) / (processors * load), jobs)
    submits = np.cumsum(gaps).astype(int)
    for number, (submit, run, size, limit) in enumerate(zip(submits, runs, sizes, limits, strict=True), start=1):
        at = START + timedelta(seconds=int(submit))
        yield TraceJob(Job(job=str(number), submit=at, gpus=int(size), time_limit_s=int(max(limit, run))), int(run))


def machine() -> Setting:
    where = fleet(site(nodes=1024, hardware="processor"), hardware={"processor": PROCESSOR})
    return Setting(where, {"processor": PROCESSOR}, open_source("climatology"), None, 0, 900, 86_400, 0)


def large() -> Setting:
    """The demo fleet, TIMES as large."""
    where = _times(read_fleet(demo_fleet()))
    return Setting(where, dict(hardware_of(where)), open_source("climatology"), None, 0, 900, 172_800, 0)


def _times(where: Fleet) -> Fleet:
    def grown(part: Partition) -> Partition:
        counts = {name: getattr(part, name) for name in ("nodes", "domains")}
        return part.model_copy(update={name: TIMES * count for name, count in counts.items() if count})

    sites = [
        site.model_copy(update={"it_power_cap_kw": None, "partitions": tuple(map(grown, site.partitions))})
        for site in where.sites
    ]
    return where.model_copy(update={"sites": tuple(sites)})


def jobs_per_cpu_s(names: list[str], trace: list[TraceJob], setting: Setting) -> dict[str, float]:
    """From the first event to the last account; the first named is the baseline."""
    played = simulate(trace, setting, names, names[0])
    return {result.name: round(len(trace) / result.cpu_s) for result in played.results}


def most_gib(jobs: int) -> float:
    """Of a process of its own."""
    ended = subprocess.run(  # noqa: S603 # our own program and a number
        [sys.executable, "-m", "bench.simulator", "--through", str(jobs)], check=True, capture_output=True, text=True
    )
    return float(json.loads(ended.stdout)["most_gib"])


def through(jobs: int) -> None:
    """Play them through and say what it took."""
    with TemporaryDirectory() as folder:
        begun = time.process_time()
        totals = play_through("easy", rigid(jobs, 1024, 0.9), machine(), Path(folder, "jobs.parquet"))
        told = {**asdict(totals), "cpu_s": round(time.process_time() - begun, 1)}
    told["most_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)
    sys.stdout.write(json.dumps(told) + "\n")


def main(jobs: int) -> int:
    speeds = jobs_per_cpu_s(["easy", "fifo"], list(rigid(jobs, 1024, 0.9)), machine())
    mixed = list(generate(jobs, SEED, START, max(1, round(jobs / JOBS_A_DAY))))
    speeds |= jobs_per_cpu_s(["csched"], mixed, large())
    gib = most_gib(10 * jobs)
    told = {"jobs": jobs, "jobs_per_cpu_s": speeds, "jobs_played_through": 10 * jobs, "most_gib": gib}
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    slow = [name for name, least in LEAST_JOBS_PER_CPU_S.items() if speeds[name] < least]
    for name in slow:
        sys.stdout.write(f"MISS {name}: {speeds[name]:,} jobs/CPU-s, {LEAST_JOBS_PER_CPU_S[name]:,} are expected\n")
    if jobs == JOBS:
        HERE.mkdir(exist_ok=True)
        (HERE / "simulator.json").write_text(json.dumps(told, indent=1) + "\n")
    if gib > MOST_GIB:
        sys.stdout.write(f"MISS {10 * jobs:,} jobs took {gib:g} GiB, at most {MOST_GIB:g} are expected\n")
    return 1 if slow or gib > MOST_GIB else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--through"]:
        through(int(sys.argv[2]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS))
