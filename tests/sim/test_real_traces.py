"""The readers on the archives' own files: counts as their provenance states them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from csched_sim.traces.reading import read_trace

GOLDEN = {
    # file: (jobs, dropped, limits assumed, sizes assumed, cut at the limit)
    "KTH-SP2-1996-2.1-cln.swf.gz": (27_992, 0, 0, 0, 0),
    "NASA-iPSC-1993-3.1-cln.swf.gz": (18_066, 173, 18_066, 18_066, 0),
    "METACENTRUM-2009-2.swf.gz": (99_944, 3_712, 99_944, 99_944, 0),
    "LLNL-Thunder-2007-1.1-cln.swf.gz": (113_613, 7_426, 80_197, 3, 1_101),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_swf_archives_are_read_whole(name: str, shared: Callable[[str], Path]) -> None:
    trace, notes = read_trace(shared(f"jobs/{name}"))
    limits = notes.changed["limit assumed: the run time, for want of a time requested"]
    sizes = notes.changed["size assumed: processors used, for want of processors requested"]
    cut = notes.changed["run cut at its limit"]
    assert (len(trace), sum(notes.dropped.values()), limits, sizes, cut) == GOLDEN[name]


def test_philly_is_read_whole(shared: Callable[[str], Path]) -> None:
    trace, notes = read_trace(shared("jobs/philly_2017-09-04_2017-11-12.csv.gz"))
    assert len(trace) == 62_194
    assert not notes.dropped
    assert str(trace[0].job.submit) == "2017-09-04 10:30:41+00:00"
    assert sum(traced.job.gpus == 8 for traced in trace) == 1_069
