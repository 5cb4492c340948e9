"""How fast each reader of traces is and what memory it takes: `python -m bench.trace_reading [LINES] [FORMAT ...]`.

Each format gets a file of invented lines and a process of its own, which goes through the file once as it stands
(`csched trace info`) and once by submission (`convert`, `simulate`). Time is CPU time of reading alone.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import NamedTuple

from csched_sim.traces.reading import HowToRead, jobs_as_they_stand, open_trace

LINES = 100_000
FIRST = datetime(2022, 1, 3, tzinfo=UTC)
START_S = int(FIRST.timestamp())
WAIT_S = 5
WINDOW = 5_000
"""Lines of the format `swf-unsorted` are shuffled within so many."""


class Line(NamedTuple):
    number: int
    submit_s: int
    runtime_s: int
    gpus: int
    user: int

    def at(self, after_s: int = 0, separator: str = " ") -> str:
        return (FIRST + timedelta(seconds=self.submit_s + after_s)).strftime(f"%Y-%m-%d{separator}%H:%M:%S")

    @property
    def ended_s(self) -> int:
        return WAIT_S + self.runtime_s


def swf(job: Line) -> str:
    told = f"{job.number} {job.submit_s} 5 {job.runtime_s} {job.gpus}"
    return f"{told} -1 -1 {job.gpus} 90000 -1 1 {job.user} 1 1 -1 -1 -1 -1"


def sacct(job: Line) -> str:
    tres = f"billing={job.gpus},cpu=8,gres/gpu:h100={job.gpus},gres/gpu={job.gpus},mem=64G,node=1"
    return (
        f"{job.number}|COMPLETED|{job.at(0, 'T')}|{job.at(WAIT_S, 'T')}|{job.at(job.ended_s, 'T')}|{job.runtime_s}|1500"
        f"|{tres}|{tres}|u{job.user}|a1"
    )


def sacct_json(job: Line) -> str:
    """Steps left out: they are most of what Slurm prints."""
    gpus = [{"type": "gres", "name": "gpu", "id": 1001, "count": job.gpus}]
    submit_s = START_S + job.submit_s
    record = {
        "account": "a1", "array": {"job_id": 0, "task_id": {"set": False, "number": 0}}, "het": {"job_id": 0},
        "job_id": job.number, "state": {"current": ["COMPLETED"]}, "user": f"u{job.user}",
        "time": {
            "elapsed": job.runtime_s, "start": submit_s + WAIT_S, "end": submit_s + job.ended_s,
            "submission": submit_s, "limit": {"set": True, "infinite": False, "number": 1500},
        },
        "tres": {"allocated": gpus, "requested": gpus},
    }  # fmt: skip
    return ("" if job.number == 1 else ",") + json.dumps(record)


def helios(job: Line) -> str:
    times = f"{job.at()},{job.at(WAIT_S)},{job.at(job.ended_s)}"
    return f"{job.number},u{job.user},vc1,{job.gpus},8,1,COMPLETED,{times},{job.runtime_s},5"


def acme(job: Line) -> str:
    times = f"{job.at()}+08:00,{job.at(WAIT_S)}+08:00,{job.at(job.ended_s)}+08:00"
    return f"{job.number},u{job.user},1,{job.gpus},8,Other,COMPLETED,{times},{job.runtime_s},5,0"


def supercloud(job: Line) -> str:
    times = f"{START_S + job.submit_s},{START_S + job.submit_s + WAIT_S},{START_S + job.submit_s + job.ended_s}"
    return f'{job.number},{job.user},3,1500,{times},"1=40,1002={job.gpus}","1=40,1002={job.gpus}"'


def openb(job: Line) -> str:
    times = f"{job.submit_s},{job.submit_s + job.ended_s},{job.submit_s + WAIT_S}"
    return f"p-{job.number},1000,1000,{job.gpus},1000,,LS,Succeeded,{times}"


FORMATS: dict[str, tuple[str, Callable[[Line], str], str]] = {
    # format: (what stands first, a line, what stands last)
    "swf": (f"; UnixStartTime: {START_S}", swf, ""),
    "swf-unsorted": (f"; UnixStartTime: {START_S}", swf, ""),
    "sacct": ("JobID|State|Submit|Start|End|ElapsedRaw|TimelimitRaw|ReqTRES|AllocTRES|User|Account", sacct, ""),
    "sacct-json": ('{"meta": {}, "jobs": [', sacct_json, "]}"),
    "philly": (
        "timestamp,duration,num_gpus,gpu_time,cluster",
        lambda job: f"{job.at()},{job.runtime_s}.0,{job.gpus},0,vc1",
        "",
    ),
    "helios": (
        "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue", helios, "",
    ),
    "acme": (
        "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time",
        acme,
        "",
    ),
    "openb": (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time",
        openb,
        "",
    ),
    "supercloud": (
        "id_job,id_user,state,timelimit,time_submit,time_start,time_end,tres_alloc,tres_req", supercloud, "",
    ),
    "csched": (
        "job,submit,user,tenant,gpus,time_limit_s,data_class,pattern,runtime_s",
        lambda job: f"j{job.number},{job.at(0, 'T')}Z,u{job.user},t1,{job.gpus},90000,internal,dp,{job.runtime_s}",
        "",
    ),
    "pai": ("", lambda job: f"j{job.number:024},x,u{job.user},Terminated,{job.submit_s}.0,{job.submit_s + 9}.0", ""),
}  # fmt: skip


def work(lines: int) -> Iterator[Line]:
    dice = random.Random(1)  # noqa: S311 - a seed, so that every run measures the same
    for number in range(1, lines + 1):
        yield Line(number, 30 * number, dice.randint(10, 20_000), dice.choice((1, 1, 1, 2, 4, 8)), dice.randint(1, 500))


def write(path: Path, name: str, lines: int) -> None:
    first, line, last = FORMATS[name]
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"{first}\n" if first else "")
        held: list[str] = []
        for job in work(lines):
            held.append(line(job) + "\n")
            if len(held) == WINDOW or job.number == lines:
                if name == "swf-unsorted":
                    random.Random(job.number).shuffle(held)  # noqa: S311 - see above
                stream.writelines(held)
                held.clear()
        stream.write(last)
    if name == "pai":
        with (path.parent / "pai_task_table.csv").open("w", encoding="utf-8") as tasks:
            for job in work(lines):
                times = f"{job.submit_s + WAIT_S}.0,{job.submit_s + job.ended_s}.0"
                tasks.write(f"j{job.number:024},worker,{job.gpus}.0,Terminated,{times},600.0,29.3,100.0,V100\n")


def measure(path: Path, name: str) -> dict[str, float]:
    """Lines for each CPU second and the most memory of this process in MiB: as the file stands, then by submission."""
    how = HowToRead(format=name.partition("-unsorted")[0])
    started = process_time()
    jobs, _ = jobs_as_they_stand(path, how)
    lines = sum(1 for _ in jobs)
    read_s, read_mib = process_time() - started, _peak_mib()
    started = process_time()
    trace = open_trace(path, how)
    assert sum(1 for _ in trace) == lines  # noqa: S101 - a figure over other jobs would mean nothing
    return {
        "lines": lines,
        "as_they_stand_per_s": lines / read_s,
        "as_they_stand_mib": read_mib,
        "by_submission_per_s": lines / (process_time() - started),
        "by_submission_mib": _peak_mib(),
        "read_ahead": trace.read_ahead,
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        sys.stdout.write(json.dumps(measure(Path(sys.argv[2]), sys.argv[3])))
        return
    lines = int(sys.argv[1]) if sys.argv[1:] else LINES
    sys.stdout.write(f"{'format':14}{'lines':>10}{'lines/s':>10}{'MiB':>7}   by submission: {'lines/s':>8}{'MiB':>7}\n")
    for name in sys.argv[2:] or FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace"
            write(path, name, lines)
            command = [sys.executable, "-m", "bench.trace_reading", "--measure", str(path), name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
        told = json.loads(done.stdout)
        sys.stdout.write(
            f"{name:14}{told['lines']:>10,}{told['as_they_stand_per_s']:>10,.0f}{told['as_they_stand_mib']:>7,.0f}"
            f"   {'':15}{told['by_submission_per_s']:>8,.0f}{told['by_submission_mib']:>7,.0f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
