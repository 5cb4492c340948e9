"""The check's own sigma, rank by rank, is the cost model's on every hardware, pattern and shape."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from csched.domain.hardware import Measured
from csched.domain.job import Pattern
from csched.placement.check_sigma import sigma
from csched.testing.builders import job
from csched.topology.catalogue import shipped
from csched.topology.communication import slowdown
from csched.topology.workload import asked_workload

MEASURED = st.sampled_from([(), (Measured(medium="fabric", share=0.4, latency_s=3e-5),)])
PARALLEL = st.sampled_from([None, 1, 2, 4, 8])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(shipped())), st.sampled_from([None, *Pattern]), st.tuples(*[PARALLEL] * 3), st.data())
def test_two_ways_to_one_sigma(key, pattern, told, data):
    kind = shipped()[key].model_copy(update={"measured": data.draw(MEASURED)})
    size = min(kind.gpus_per_domain, 16)
    shape = data.draw(st.lists(st.integers(1, size), min_size=1, max_size=4))
    degrees = dict(zip(("tensor_parallel", "pipeline_parallel", "expert_parallel"), told, strict=True))
    assume(sum(shape) % math.prod(degree or 1 for degree in told) == 0)
    workload = asked_workload(job(gpus=sum(shape), pattern=pattern, **degrees))
    mine = sigma(workload, kind, shape)
    assert mine >= 1
    if workload is None:
        assert mine == 1
        return
    found = slowdown(replace(workload, split_allowed=True), kind, shape)
    assert mine == pytest.approx(found.sigma if found else 1.0, rel=1e-9)
