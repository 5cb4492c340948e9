"""fifo and easy against the textbook, to the second."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csched.carbon.sources import open_source
from csched.clock import epoch_s
from csched.domain.hardware import Hardware
from csched.testing.builders import MONDAY, fleet, job, site
from csched_sim.outcome import Outcome
from csched_sim.setting import Setting
from csched_sim.strategies import strategy
from csched_sim.traces.reading import read_trace
from csched_sim.traces.trace import TraceJob, in_order, submitted

PROCESSOR = Hardware(key="processor", kw_per_gpu=0.1, gpus_per_node=1, nodes_per_domain=1)


@dataclass(frozen=True)
class PlainJob:
    number: int
    submit: int
    size: int
    run: int
    limit: int


def plain_schedule(jobs: list[PlainJob], machine: int, *, backfill: bool) -> dict[int, int]:
    """Job number -> start second. At an instant all ends, then all submissions, then one pass."""
    to_come = sorted(jobs, key=lambda job: job.submit)[::-1]
    ends: list[tuple[int, int]] = []
    running: dict[int, PlainJob] = {}
    queue: list[PlainJob] = []
    starts: dict[int, int] = {}
    free = machine
    while to_come or ends:
        now = min([job.submit for job in to_come[-1:]] + [end for end, _ in ends[:1]])
        while ends and ends[0][0] == now:
            free += running.pop(heapq.heappop(ends)[1]).size
        while to_come and to_come[-1].submit == now:
            queue.append(to_come.pop())
        for begun in _chosen(queue, running, starts, free, now, backfill=backfill):
            queue.remove(begun)
            starts[begun.number] = now
            running[begun.number] = begun
            free -= begun.size
            heapq.heappush(ends, (now + begun.run, begun.number))
    return starts


def _chosen(
    queue: list[PlainJob], running: dict[int, PlainJob], starts: dict[int, int], free: int, now: int, *, backfill: bool
) -> list[PlainJob]:
    chosen: list[PlainJob] = []
    rest = list(queue)
    while rest and rest[0].size <= free:
        free -= rest[0].size
        chosen.append(rest.pop(0))
    if not backfill or not rest:
        return chosen
    expected = [(starts[number] + job.limit, number, job.size) for number, job in running.items()]
    expected += [(now + job.limit, job.number, job.size) for job in chosen]
    head, reachable, shadow, extra = rest[0], free, 0, 0
    for end, _number, size in sorted(expected):
        reachable += size
        if reachable >= head.size:
            shadow, extra = end, reachable - head.size
            break
    for later in rest[1:]:
        before_shadow = now + later.limit <= shadow
        if later.size <= free and (before_shadow or later.size <= extra):
            chosen.append(later)
            free -= later.size
            if not before_shadow:
                extra -= later.size
    return chosen


def machine(processors: int) -> Setting:
    """One site with one partition of single processors."""
    where = fleet(site(nodes=processors, hardware="processor"), hardware={"processor": PROCESSOR})
    return Setting(where, {"processor": PROCESSOR}, open_source("climatology"), None, 0, 900, 86_400, 0)


def starts(outcome: Outcome) -> dict[int, int]:
    return {int(run.traced.job.job): run.start_s for run in outcome.runs}


def plain(trace: Sequence[TraceJob]) -> list[PlainJob]:
    return [PlainJob(int(t.job.job), epoch_s(submitted(t)), t.job.gpus, t.runtime_s, t.job.time_limit_s) for t in trace]


def assert_textbook(trace: Sequence[TraceJob], processors: int) -> None:
    for name, backfill in (("fifo", False), ("easy", True)):
        outcome = strategy(name)(trace, machine(processors))
        assert starts(outcome) == plain_schedule(plain(trace), processors, backfill=backfill)
        assert not outcome.never_ran


def generated_swf(jobs: int, processors: int, load: float, seed: int) -> str:
    """Rigid jobs, mostly powers of two, log-uniform run times, limits up to four times as long, Poisson arrivals."""
    random = np.random.default_rng(seed)
    sizes = np.minimum(2 ** random.integers(0, 9, jobs), processors)
    runs = np.exp(random.uniform(np.log(30), np.log(43_200), jobs)).astype(int)
    limits = np.minimum(np.ceil(runs * random.uniform(1, 4, jobs) / 300).astype(int) * 300, 86_400)
    gaps = random.exponential(np.mean(sizes * runs) / (processors * load), jobs)
    submits = np.cumsum(gaps).astype(int) // 60 * 60  # whole minutes: many jobs share an instant
    lines = [
        f"{number} {submit} -1 {run} {size} -1 -1 {size} {limit} -1 1 1 1 -1 -1 -1 -1 -1"
        for number, (submit, run, size, limit) in enumerate(zip(submits, runs, sizes, limits, strict=True), start=1)
    ]
    return "\n".join(["; Version: 2.2", "; UnixStartTime: 1640995200", *lines])


@pytest.mark.parametrize(("load", "seed"), [(0.6, 1), (0.9, 2), (1.2, 3)])
def test_generated_swf_to_the_second(tmp_path: Path, load: float, seed: int) -> None:
    path = tmp_path / "generated.swf"
    path.write_text(generated_swf(2_000, 512, load, seed))
    assert_textbook(read_trace(path)[0], 512)


ARCHIVES = {
    "KTH-SP2-1996-2.1-cln.swf.gz": (100, 27_992),
    "SDSC-BLUE-2000-4.2-cln.swf.gz": (1_152, 232_536),
    "HPC2N-2002-2.1-cln.swf.gz": (240, 202_876),
}
"""File -> (processors of the machine, jobs that ran)."""


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_first_thousands_of_real_jobs_to_the_second(name: str, shared: Callable[[str], Path]) -> None:
    assert_textbook(read_trace(shared(f"jobs/{name}"), limit=4_000)[0], ARCHIVES[name][0])


@pytest.mark.soak
@pytest.mark.parametrize("name", ARCHIVES)
def test_whole_real_traces_to_the_second(name: str, shared: Callable[[str], Path]) -> None:
    processors, jobs = ARCHIVES[name]
    trace, _notes = read_trace(shared(f"jobs/{name}"))
    assert len(trace) == jobs
    assert_textbook(trace, processors)


small_jobs = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 8), st.integers(1, 20), st.integers(0, 15)), min_size=1, max_size=25
)


@given(small_jobs)
def test_any_few_jobs_to_the_second(drawn: list[tuple[int, int, int, int]]) -> None:
    """Few, small and often at the same instant: where ties and the extra-GPU rule show."""
    assert_textbook(trace_of(drawn), 8)


def test_a_later_job_may_use_the_extra_gpus_beyond_the_shadow_time() -> None:
    """8 processors; 5 run until 10. The head needs 6, which leaves 2 extra at 10: a job of 2 may run past it."""
    trace = trace_of([(0, 5, 10, 0), (1, 6, 10, 0), (2, 2, 50, 0), (2, 1, 50, 0)])
    first = epoch_s(MONDAY)
    assert starts(strategy("easy")(trace, machine(8))) == {1: first, 2: first + 10, 3: first + 2, 4: first + 20}


def test_equal_ends_are_taken_in_the_order_of_ids() -> None:
    """At the shadow time jobs 2 and 10 both end. Number 2 alone suffices for the head, so its extra is what counts."""
    trace = in_order(
        [
            TraceJob(job("10", gpus=1, hours=100 / 3600, submit=MONDAY), 100),
            TraceJob(job("2", gpus=4, hours=100 / 3600, submit=MONDAY), 100),
            TraceJob(job("11", gpus=7, hours=100 / 3600, submit=MONDAY + timedelta(seconds=1)), 100),
            TraceJob(job("12", gpus=1, hours=900 / 3600, submit=MONDAY + timedelta(seconds=1)), 900),
        ]
    )
    begun = starts(strategy("easy")(trace, machine(8)))
    assert begun == plain_schedule(plain(trace), 8, backfill=True)
    assert begun[12] == epoch_s(MONDAY) + 100


def trace_of(drawn: list[tuple[int, int, int, int]]) -> list[TraceJob]:
    """(submission, size, run time, how much longer the limit is) of jobs 1, 2, …; times in seconds after MONDAY."""
    return in_order(
        TraceJob(
            job(str(number), gpus=size, hours=(run + spare) / 3600, submit=MONDAY + timedelta(seconds=submit)),
            run,
        )
        for number, (submit, size, run, spare) in enumerate(drawn, start=1)
    )
