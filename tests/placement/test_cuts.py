"""Cuts cut off halves of gangs, and never a plan."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from csched.placement.cuts import can_exceed, rounded

amounts = st.lists(st.integers(0, 40), min_size=1, max_size=8)


@given(amounts, st.integers(0, 60))
def test_whatever_fits_keeps_every_cut(amount: list[int], most: int) -> None:
    each = np.array(amount)
    cuts = list(rounded(np.arange(len(each)), each, most))
    for chosen in itertools.product([0, 1], repeat=len(amount)):
        if each @ chosen <= most:
            assert all(weight @ chosen <= limit for weight, limit in cuts)


def test_two_halves_of_two_gangs_are_cut_off() -> None:
    gangs = np.array([6, 6])
    assert 0.5 * gangs.sum() <= 10
    assert any(0.8 * weight.sum() > limit for weight, limit in rounded(np.arange(2), gangs, 10))


def test_starts_of_one_job_do_not_add_up() -> None:
    assert not can_exceed(np.array([3, 3, 3]), np.array([6, 6, 6]), 10)
    assert can_exceed(np.array([3, 4]), np.array([6, 6]), 10)
