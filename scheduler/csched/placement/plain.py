"""The stages in plain numpy: for a few jobs, where compiling would take longer than planning, and as a backstop."""

import numpy as np

from csched.placement.effort import Found, Watch
from csched.placement.oracle import Oracle
from csched.placement.prices import Prices, improve
from csched.placement.schedule import Board, Schedule, big_first, insert

MOST_ROUNDS = 120
ROUNDS_JOBS = 20_000
"""Price rounds times jobs that numpy does in a few seconds."""


def pursue(oracle: Oracle, watch: Watch) -> Found:
    """Prices, one list schedule at least reduced cost, each job once more at least true cost, and what still fits."""
    problem = oracle.problem
    with watch.stage("prices"):
        rounds = max(5, min(MOST_ROUNDS, ROUNDS_JOBS // max(1, len(problem.jobs))))
        prices = improve(
            problem, Prices.zero(problem), oracle.climb, oracle.spread_kg(), rounds=rounds, go_on=watch.until(0.4)
        )
        if not prices.sane:
            prices = Prices.zero(problem)
    with watch.stage("schedule"):
        order, board = big_first(problem), Board(problem)
        schedule = insert(oracle, board, Schedule.empty(problem), order, oracle.held(prices))
        for job in order:
            if watch.over(0.8):
                break
            if schedule.room[job] >= 0:
                board.lift(int(job), int(schedule.room[job]), int(schedule.slot[job]))
                schedule.room[job] = schedule.slot[job] = -1
                schedule = insert(oracle, board, schedule, np.array([job]))
    return Found(fill(oracle, schedule), prices)


def fill(oracle: Oracle, schedule: Schedule) -> Schedule:
    """Put in what still fits: no job is left out that has room."""
    order = big_first(oracle.problem)
    board = Board.of(oracle.problem, schedule)
    return insert(oracle, board, schedule, order[schedule.room[order] < 0])
