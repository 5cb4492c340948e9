"""How fast csched hands held jobs to one slurmrestd, by a token of their user, on a lab of real Slurm.

Jobs of one GPU, submitted by the agent's transport from as many threads as the agent has; the agent's journal is not in
it. Ends with 1 below LEAST jobs per second. Left out where the lab cannot be had. python -m bench.dispatch
"""

import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from csched_slurm.rest import ByToken, Rest
from csched_slurm.transport import JobRequest, Submitted
from slurm_lab.lab import Lab

LEAST = 300.0
JOBS, THREADS = 3000, 8
CLUSTER = "essonne"


def main() -> int:
    if os.geteuid() != 0 or shutil.which("slurmctld") is None:
        sys.stdout.write("left out: real Slurm clusters need root and `make slurm-packages`\n")
        return 0
    home = Path(tempfile.mkdtemp(prefix="csched-lab-", dir="/tmp"))
    lab = Lab.make(home)
    try:
        lab.up()
        per_second = dispatched_per_second(lab)
    finally:
        lab.down()
    sys.stdout.write(f"{JOBS} jobs to one slurmrestd: {per_second:.0f} a second (at least {LEAST:.0f})\n")
    return int(per_second < LEAST)


def dispatched_per_second(lab: Lab) -> float:
    tokens = {user: lab.token(CLUSTER, user) for user in ("csched", "alice")}
    door = ByToken(f"http://127.0.0.1:{lab.layout.cluster(CLUSTER).rest_port}", "csched", tokens.__getitem__)
    requests = [request() for _ in range(JOBS)]
    with closing(Rest(CLUSTER, door)) as rest, ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        answers = list(threads.map(rest.submit, requests))
        seconds = time.perf_counter() - began
    refused = [answer for answer in answers if not isinstance(answer, Submitted)]
    if refused:
        raise RuntimeError(f"{len(refused)} of {JOBS} were not submitted: {refused[0]}")
    return JOBS / seconds


def request() -> JobRequest:
    attempt = uuid4().hex
    return JobRequest(
        name=f"csched-{attempt}",
        user="alice",
        account="physics",
        comment=f"csched:id={attempt};job=1;cluster={CLUSTER}",
        script="#!/bin/sh\ntrue\n",
        work_dir="/",
        stdout="/dev/null",
        partition="gpu",
        nodes=1,
        gpus_per_node=1,
        time_limit_minutes=10,
    )


if __name__ == "__main__":
    sys.exit(main())
