"""Speed of the simulator on one core: EASY on 100,000 invented jobs, csched on the demo fleet, all with all accounts.

The workload of EASY: rigid jobs on 1,024 processors, sizes powers of two up to 256, run times log-uniform from 30 s to
12 h, limits up to four times as long, Poisson arrivals at 90 % load, seed 20261122.
"""

import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from csched.carbon.sources import open_source
from csched.clock import epoch_s
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.formats.fleet import read_fleet
from csched.shipped import demo_fleet
from csched.testing.builders import fleet, site
from csched.topology.catalogue import hardware_of
from csched_sim.accounts import account, true_intensities
from csched_sim.setting import Setting
from csched_sim.strategies import strategy
from csched_sim.traces.generator import generate
from csched_sim.traces.trace import TraceJob

SEED = 20261122
START = datetime(2022, 1, 1, tzinfo=UTC)
PROCESSOR = Hardware(key="processor", kw_per_gpu=0.1, gpus_per_node=1, nodes_per_domain=1)


def rigid(jobs: int, processors: int, load: float) -> list[TraceJob]:
    random = np.random.default_rng(SEED)
    sizes = 2 ** random.integers(0, 9, jobs)
    runs = np.exp(random.uniform(np.log(30), np.log(43_200), jobs)).astype(int)
    limits = np.minimum(np.ceil(runs * random.uniform(1, 4, jobs) / 300).astype(int) * 300, 86_400)
    gaps = random.exponential(np.mean(sizes * runs) / (processors * load), jobs)
    submits = np.cumsum(gaps).astype(int)
    return [
        TraceJob(
            Job(
                job=str(number),
                submit=START + timedelta(seconds=int(submit)),
                gpus=int(size),
                time_limit_s=int(max(limit, run)),
            ),
            int(run),
        )
        for number, (submit, run, size, limit) in enumerate(zip(submits, runs, sizes, limits, strict=True), start=1)
    ]


def jobs_per_cpu_s(name: str, trace: list[TraceJob], setting: Setting) -> float:
    begun = time.process_time()
    outcome = strategy(name)(trace, setting)
    taken = time.process_time() - begun
    last_s = max(run.end_s for run in outcome.runs)
    carbon = true_intensities(setting, epoch_s(START), last_s)
    begun = time.process_time()
    account(outcome.runs, setting, carbon)
    return len(trace) / (taken + time.process_time() - begun)


def main() -> None:
    sky = open_source("climatology")
    machine = fleet(site(nodes=1024, hardware="processor"), hardware={"processor": PROCESSOR})
    one = Setting(machine, {"processor": PROCESSOR}, sky, None, 0, 900, 86_400, 0)
    trace = rigid(100_000, 1024, 0.9)
    for name in ("fifo", "easy"):
        sys.stdout.write(f"{name:8} 100,000 jobs {jobs_per_cpu_s(name, trace, one):>10,.0f} jobs/CPU-s\n")
    where = read_fleet(demo_fleet())
    demo = Setting(where, dict(hardware_of(where)), sky, None, 0, 900, 172_800, 0)
    mixed = list(generate(2_000, SEED, START, 7))
    for name in ("greenest", "carbon-time", "csched"):
        sys.stdout.write(f"{name:8}   2,000 jobs {jobs_per_cpu_s(name, mixed, demo):>10,.0f} jobs/CPU-s\n")


if __name__ == "__main__":
    main()
