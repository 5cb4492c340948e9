"""The readers on the archives' own files: counts as their provenance states them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from csched_sim.traces.reading import jobs_as_they_stand, read_trace
from csched_sim.traces.summary import summarise

NO_LIMIT = "limit assumed: the run time, for want of a time requested"
NO_SIZE = "size assumed: processors used, for want of processors requested"
CUT = "run cut at its limit"

SWF = {
    # file: (lines, jobs, run times of 0 or less, limits assumed, sizes assumed, cut at the limit, assumptions)
    "KTH-SP2-1996-2.1-cln.swf.gz": (27_992, 27_992, 0, 0, 0, 0, ["28,476 records, there are 27,992"]),
    "HPC2N-2002-2.1-cln.swf.gz": (202_876, 202_876, 0, 0, 0, 14_817, ["527,371 records, there are 202,876"]),
    "SDSC-BLUE-2000-4.2-cln.swf.gz": (243_306, 232_536, 10_770, 0, 0, 23_434, []),
    "LLNL-Thunder-2007-1.1-cln.swf.gz": (
        121_039, 113_613, 7_426, 80_197, 3, 1_101, ["128,662 records, there are 121,039"],
    ),
    "METACENTRUM-2009-2.swf.gz": (103_656, 99_944, 3_712, 99_944, 99_944, 0, ["no UnixStartTime in the header"]),
    "NASA-iPSC-1993-3.1-cln.swf.gz": (
        18_239, 18_066, 173, 18_066, 18_066, 0, ["42,264 records, there are 18,239"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SWF)
def test_swf_archives_are_read_whole(name: str, shared: Callable[[str], Path]) -> None:
    jobs, notes = jobs_as_they_stand(shared(f"jobs/{name}"))
    count = sum(1 for _ in jobs)
    changed = (notes.changed[NO_LIMIT], notes.changed[NO_SIZE], notes.changed[CUT])
    assert (notes.format, notes.dropped.total()) == ("swf", notes.dropped["run time 0 or less"])
    assert (notes.lines, count, notes.dropped.total(), *changed) == SWF[name][:-1]
    assert len(notes.assumptions) == len(SWF[name][-1])
    for said, expected in zip(notes.assumptions, SWF[name][-1], strict=True):
        assert expected in said


def test_philly_is_read_whole(shared: Callable[[str], Path]) -> None:
    trace, notes = read_trace(shared("jobs/philly_2017-09-04_2017-11-12.csv.gz"))
    assert len(trace) == 62_194
    assert not notes.dropped
    assert str(trace[0].job.submit) == "2017-09-04 10:30:41+00:00"
    assert sum(traced.job.gpus == 8 for traced in trace) == 1_069


@pytest.mark.parametrize(("listed", "typed"), [("default", 0), ("gpuspec33", 2_092)])
def test_openb_is_read_whole(listed: str, typed: int, shared: Callable[[str], Path]) -> None:
    trace, notes = read_trace(shared(f"jobs/openb_pod_list_{listed}.csv.gz"))
    figures = summarise(trace)
    assert (len(trace), notes.lines) == (6_203, 8_152)
    assert notes.dropped == {"never scheduled (Pending)": 897, "asks for no GPU": 1_052}
    assert notes.changed["a part of a GPU counted as a whole one"] == 2_573
    assert notes.changed["types of GPU asked for are not in csched's catalogue: left free"] == typed
    assert figures.jobs_by_gpus == {"1": 6_129, "2": 15, "3-4": 15, "5-8": 44}
