"""Sums are whole numbers of 64 bits: none overflows at the largest sizes, even where all jobs want the same slot.

Python's own integers, which have no largest one, say what each sum is.
"""

import numpy as np
import pytest

from csched.placement.exact import _POWER_BITS
from csched.placement.fixing import columns
from csched.placement.oracle import Oracle
from csched.placement.prices import Prices, usage
from csched.placement.problem import Problem, build
from csched.testing.builders import fleet, job, site, snapshot

JOBS = 100_000
NODES = 11_000
"""Of eight 1-kW GPUs: 88 MW, more than the power of any site in the shipped fleets."""
LARGEST = 2**63 - 1


def crowd(*, capped: bool = True) -> Problem:
    """100,000 jobs, each as large as the site."""
    where = fleet(site(nodes=NODES, it_power_cap_kw=8.0 * NODES if capped else None))
    one = build(snapshot([job(gpus=8 * NODES)], fleet=where), None)
    return one.part(np.zeros(JOBS, dtype=np.int64), one.gpus_left, one.power_left)


def test_what_all_jobs_hold_at_once_is_summed_exactly() -> None:
    problem = crowd()
    everywhere = np.zeros(JOBS, dtype=np.int64)
    held, drawn = usage(problem, everywhere, everywhere)
    power = JOBS * int(problem.power[0, 0])
    assert power <= LARGEST
    assert held[0, 0] == JOBS * 8 * NODES
    assert drawn[0, 0] == power


def test_what_is_left_is_below_nothing_and_not_beyond_the_largest_number() -> None:
    problem = crowd()
    everywhere = np.zeros(JOBS, dtype=np.int64)
    held, drawn = usage(problem, everywhere, everywhere)
    assert (problem.gpus_left - held)[0, 0] == 8 * NODES * (1 - JOBS)
    assert (problem.power_left - drawn)[0, 0] == int(problem.power_left[0, 0]) - JOBS * int(problem.power[0, 0])


@pytest.mark.parametrize("capped", [True, False])
def test_the_solver_gets_numbers_whose_sums_it_can_hold(*, capped: bool) -> None:
    """CP-SAT wants every sum of coefficients below 2**63."""
    most = 300
    problem = crowd(capped=capped).part(np.arange(most), crowd().gpus_left, crowd(capped=capped).power_left)
    oracle = Oracle(problem)
    found = columns(oracle, Prices.zero(problem), 0.0, 1e12)
    assert len(found.job) > most
    assert sum(found.reduced_units.tolist()) <= LARGEST
    dear = Prices(np.full(problem.gpus_left.shape, 1e6), np.zeros(problem.power_left.shape))
    priced = columns(oracle, dear, 0.0, 1e12)
    unused = priced.price_units.astype(object) * problem.gpus_left
    assert sum(priced.reduced_units.tolist()) + int(unused.sum()) <= LARGEST
    coarsened = int(problem.power[0, 0]).bit_length() - _POWER_BITS
    assert len(found.job) * (int(problem.power[0, 0]) >> max(0, coarsened)) <= LARGEST
