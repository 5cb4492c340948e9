"""The linear program over classes of jobs, and the prices that are its duals."""

import numpy as np
from ortools.linear_solver import pywraplp  # type: ignore[import-untyped]

from csched.placement.classes import Classes
from csched.placement.dtypes import Flags, Floats
from csched.placement.prices import Prices
from csched.placement.problem import Problem
from csched.placement.timeline import UNCAPPED


def class_prices(problem: Problem, classes: Classes) -> Prices | None:
    """The best prices there are; None where the program has no answer."""
    return _Program(problem, classes).prices()


class _Program:
    """How many of each class start where and when, or not at all; as much as is left in each row."""

    def __init__(self, problem: Problem, classes: Classes) -> None:
        self._problem, self._solver = problem, pywraplp.Solver.CreateSolver("GLOP")
        self._gpu = [[self._at_most(left) for left in row] for row in problem.gpus_left.tolist()]
        self._power = [
            [self._at_most(left) if left < UNCAPPED else None for left in row] for row in problem.power_left.tolist()
        ]
        self._solver.Objective().SetMinimization()
        each = zip(classes.one_of.tolist(), classes.counts.tolist(), classes.possible, strict=True)
        for job, count, possible in each:
            self._add_class(job, count, possible)

    def _at_most(self, left: int) -> pywraplp.Constraint:
        return self._solver.RowConstraint(0.0, float(max(0, left)), "")

    def _add_class(self, job: int, count: int, possible: Flags) -> None:
        problem, costs_kg = self._problem, self._problem.costs_kg(job)
        everybody = self._solver.RowConstraint(float(count), float(count), "")
        dearest_kg = float(costs_kg[np.isfinite(costs_kg)].max())
        self._column(everybody, count, dearest_kg + float(problem.drop_kg[job]))
        ends = problem.row_after(np.arange(problem.start_slots) + problem.hold_slots[job][:, None])
        for room, slot in np.argwhere(possible).tolist():
            column = self._column(everybody, count, float(costs_kg[room, slot]))
            power = self._power[int(problem.room_site[room])]
            for row in range(slot, int(ends[room, slot])):
                self._gpu[room][row].SetCoefficient(column, float(problem.gpus_held[job, room]))
                if (cap := power[row]) is not None:
                    cap.SetCoefficient(column, float(problem.power[job, room]))

    def _column(self, everybody: pywraplp.Constraint, count: int, kg: float) -> pywraplp.Variable:
        column = self._solver.NumVar(0.0, float(count), "")
        everybody.SetCoefficient(column, 1.0)
        self._solver.Objective().SetCoefficient(column, kg)
        return column

    def prices(self) -> Prices | None:
        """The duals of what is scarce: what one GPU or power unit more in a row would save."""
        if self._solver.Solve() != pywraplp.Solver.OPTIMAL:
            return None
        prices = Prices(self._duals(self._gpu), self._duals(self._power))
        return prices if prices.sane else None

    @staticmethod
    def _duals(rows: list[list[pywraplp.Constraint | None]]) -> Floats:
        return np.array([[0.0 if row is None else max(0.0, -row.dual_value()) for row in each] for each in rows])
