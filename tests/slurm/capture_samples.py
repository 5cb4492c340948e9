"""Take the samples of Slurm's answers anew, from a lab that `make slurm-lab-up NEWER=1` has just brought up:

    .venv/bin/python tests/slurm/capture_samples.py

One cluster of each release gets the same jobs, limits and reservations, and is then asked in every way."""

import gzip
import os
import re
import time
from pathlib import Path

import httpx

from csched_slurm.parsing.accounts import ASSOCIATION_COLUMNS, QOS_COLUMNS
from csched_slurm.rest_bodies import TESTED
from slurm_lab.__main__ import DEFAULT_HOME
from slurm_lab.lab import Lab
from slurm_lab.layout import NEW, Cluster

SAMPLES = Path(__file__).with_name("samples")
MARK = "csched-0b9f6a1e-1c2d-4e3f-8a9b-0123456789ab"
SLEEP = "#!/bin/bash\nsleep 300\n"
JOBS = {
    "held": [f"--job-name={MARK}", "--hold", "--no-requeue", "--nodes=2", "--gpus-per-node=gb200:4", "--exclusive"],
    "runs": ["--nodes=2", "--gpus-per-node=gb200:2", "--time=10", "--cpus-per-gpu=4", "--licenses=solver:2"],
    "array": ["--array=0-5%2", "--time=5"],
    "odd": ['--job-name=odd "name"\nsecond line', "--hold", "--comment=it's | odd; ü"],
    "too-wide": ["--nodes=4", "--exclusive", "--gpus-per-node=4"],
}
UPGRADE = "ReservationName=upgrade StartTime=now+1day Duration=120 Users=root Flags=MAINT,IGNORE_JOBS"
COURSE = "ReservationName=course StartTime=now+2days Duration=60 Accounts=physics"
URGENT = (
    "GrpTRES=gres/gpu=16 GrpTRESMins=gres/gpu=6000 MaxTRESPerUser=gres/gpu=8 "
    "MaxJobsPerUser=5 MaxSubmitJobsPerUser=9 MaxWall=1-00:00:00"
)
HEALTH = (
    "GrpTRES=cpu=100,gres/gpu=4 GrpTRESMins=gres/gpu=90 MaxJobs=7 GrpJobs=3 "
    "GrpSubmit=20 MaxSubmit=8 MaxWall=02:00:00 fairshare=7"
)
PATHS = {
    "slurm": ["jobs", "nodes", "partitions", "reservations", "licenses", "ping", "job/9999"],
    "slurmdb": ["jobs", "associations", "qos"],
}


def main() -> None:
    lab = Lab.open(DEFAULT_HOME)
    for cluster in (lab.layout.cluster("essonne"), lab.layout.cluster("munich")):
        _fill(lab, cluster)
        _ask_commands(lab, cluster)
        _ask_slurmrestd(lab, cluster)


def _fill(lab: Lab, cluster: Cluster) -> None:
    def submit(name: str, *options: str, script: str = SLEEP) -> str:
        common = ["--parsable", "--account=physics", "--chdir=/tmp", "--output=/dev/null"]
        named = [] if any(option.startswith("--job-name") for option in options) else [f"--job-name={name}"]
        return lab.run(cluster.name, ["sbatch", *common, *named, *options], user="alice", stdin=script).strip()

    for name, options in JOBS.items():
        submit(name, *options)
    for name, script in {"ends": "true", "fails": "exit 3", "killed": "kill -9 $$"}.items():
        submit(name, "--time=5", script=f"#!/bin/bash\n{script}\n")
    cancelled = submit("cancelled", "--time=5")
    submit("after", f"--dependency=afterok:{cancelled}", "--hold")
    submit("het", script="#!/bin/bash\n#SBATCH --hold\n#SBATCH --nodes=1\n#SBATCH hetjob\n#SBATCH --nodes=2\n")
    time.sleep(4)
    first, last = cluster.nodes[0], cluster.nodes[-1]
    for command in (
        f"scancel {cancelled}",
        f"scontrol update NodeName={last} State=DRAIN Reason=fan_broken",
        f"scontrol create reservation {UPGRADE} Nodes={last}",
        f"scontrol create reservation {COURSE} Nodes={first}",
        f"sacctmgr -i modify qos urgent set {URGENT}",
        f"sacctmgr -i modify account health set {HEALTH}",
    ):
        lab.run(cluster.name, command.split())
    time.sleep(3)


def _ask_commands(lab: Lab, cluster: Cluster) -> None:
    limits = f"cluster={cluster.name} format={ASSOCIATION_COLUMNS}"
    commands = {
        "squeue.json": "squeue --json --all --states=all",
        "nodes.json": "scontrol show nodes --json" if cluster.release == NEW else "sinfo --json",
        "sacct.json": "sacct --json --allusers --duplicates --starttime=now-1hour",
        "config.txt": "scontrol show config",
        "partitions.txt": "scontrol --oneliner show partition",
        "reservations.txt": "scontrol --oneliner show reservation",
        "licenses.txt": "scontrol --oneliner show licenses",
        "associations.txt": f"sacctmgr --parsable2 show associations {limits}",
        "qos.txt": f"sacctmgr --parsable2 show qos format={QOS_COLUMNS}",
    }
    for name, command in commands.items():
        _keep(cluster, name, lab.run(cluster.name, command.split()))


def _ask_slurmrestd(lab: Lab, cluster: Cluster) -> None:
    token = lab.token(cluster.name, "csched")
    headers = {"X-SLURM-USER-NAME": "csched", "X-SLURM-USER-TOKEN": token}
    for version in TESTED:
        for part, names in PATHS.items():
            for name in names:
                url = f"http://127.0.0.1:{cluster.rest_port}/{part}/{version}/{name}"
                answer = httpx.get(url, headers=headers, timeout=30)
                if "Unable find requested URL" not in answer.text:
                    _keep(cluster, f"{part}-{name.replace('/', '-')}-{version}.json", answer.text)


def _keep(cluster: Cluster, name: str, text: str) -> None:
    """Without what is the machine's own."""
    text = re.sub(r'("operating_system": ")[^"]*', r"\1Linux", text)
    text = re.sub(rf"\b{re.escape(os.uname().nodename)}\b", "host", text)
    file = SAMPLES / cluster.release / f"{name}.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
