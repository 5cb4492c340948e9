"""Jobs of one kind: what a start costs for each GPU held depends on the kind, the room and the slot alone.

A hundred thousand jobs are a few hundred kinds, and of those every start can be looked at in each round of prices.
Kinds are as fine as there is room for, and rounded beyond: good enough to find prices by, not to prove a bound with.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from csched.placement.dtypes import Flags, Floats, Ints
from csched.placement.kernels import Tables
from csched.placement.problem import Problem
from csched.placement.timeline import POWER_UNIT_KW
from csched.units import G_PER_KG

FEW_JOBS = 400
"""Up to here each job is looked at for itself."""
JOBS_A_KIND = 10
"""On average at least; else looking at kinds saves nothing."""
MOST_ENTRIES = 2_000_000
"""Of a table of starts by kind and room: 16 MB."""
ROUNDINGS = (1e-9, 0.01, 0.03, 0.1, 0.3, 1.0)
"""How far members of a kind may differ, in natural logarithms; the first that gives few enough kinds is used."""


class Kinds(NamedTuple):
    """k kinds, j jobs, p rooms."""

    of: npt.NDArray[np.int32]
    """Kind of each job in each room; (j, p)."""
    hold: Ints
    """(k,)."""
    run_of: Ints
    """Index into `Tables.integrals`; (k,)."""
    closed_of: Ints
    """Row of `Tables.closed`; (k,)."""
    load: Floats
    """Share of its full power that a GPU held draws; (k,)."""
    wait_kg: Floats
    """Per GPU held and slot; (k,)."""
    used: Flags
    """Whether any job is of this kind in this room; (k, p)."""
    kg_per_load: Floats
    """kg per GPU at full power and integrated intensity; (p,)."""
    power_per_load: Floats
    """Power units of a GPU at full power; (p,)."""


def kinds_of(problem: Problem, tables: Tables) -> Kinds:
    """Without any kind where the jobs are few, or too different from each other."""
    jobs, rooms = tables.hold.shape
    most = min(jobs // JOBS_A_KIND, MOST_ENTRIES // (rooms * problem.start_slots)) if jobs > FEW_JOBS else 0
    for rounding in ROUNDINGS if most else ():
        kinds = _rounded(problem, tables, rounding)
        if len(kinds.hold) <= most:
            return kinds
    nothing, column = np.empty(0, dtype=np.int64), np.empty(rooms)
    return Kinds(
        np.empty((0, rooms), dtype=np.int32),
        nothing,
        nothing,
        nothing,
        np.empty(0),
        np.empty(0),
        np.empty((0, rooms), dtype=np.bool_),
        column,
        column,
    )


def _rounded(problem: Problem, tables: Tables, rounding: float) -> Kinds:
    kw = np.array([room.hardware.kw_per_gpu for room in problem.rooms])
    kg_per_load = kw * np.array([problem.snapshot.fleet.pue(room.site) for room in problem.rooms]) / G_PER_KG
    columns, column_of = _distinct_columns([tables.gpus_held, tables.hold, tables.run_of, tables.closed_of])
    held = tables.gpus_held[:, columns]
    load = tables.kg_per_intensity[:, columns] / (held * kg_per_load[columns])
    wait_kg = tables.wait_kg_per_slot[:, None] / held
    hold, run_of, closed_of = (each[:, columns] for each in (tables.hold, tables.run_of, tables.closed_of))
    of = closed_of.ravel()
    for each in (hold, problem.runtime_s[:, columns], load, wait_kg):
        of = _finer(of, np.round(np.log(np.maximum(each.ravel(), 1e-12)) / rounding))
    member = np.unique(of, return_index=True)[1]
    by_room = np.ascontiguousarray(of.reshape(held.shape)[:, column_of].astype(np.int32))
    used = np.zeros((len(member), len(column_of)), dtype=bool)
    for room in range(len(column_of)):
        used[by_room[:, room], room] = True
    return Kinds(
        of=by_room,
        hold=hold.ravel()[member],
        run_of=run_of.ravel()[member],
        closed_of=closed_of.ravel()[member],
        load=load.ravel()[member],
        wait_kg=wait_kg.ravel()[member],
        used=used,
        kg_per_load=kg_per_load,
        power_per_load=kw / POWER_UNIT_KW,
    )


def _finer(of: Ints, by: Floats) -> Ints:
    """Kinds that differ in `by`, too, numbered from 0."""
    values, value_of = np.unique(by, return_inverse=True)
    kinds: Ints = np.unique(of * len(values) + value_of, return_inverse=True)[1]
    return kinds


def _distinct_columns(arrays: list[Ints]) -> tuple[Ints, Ints]:
    """Rooms in which some array differs from all rooms before, and for each room the index of its like among them."""
    kept: list[int] = []
    of_room: list[int] = []
    for room in range(arrays[0].shape[1]):
        alike = (
            index
            for index, one in enumerate(kept)
            if all(np.array_equal(each[:, one], each[:, room]) for each in arrays)
        )
        of_room.append(next(alike, len(kept)))
        if of_room[-1] == len(kept):
            kept.append(room)
    return np.array(kept, dtype=np.int64), np.array(of_room, dtype=np.int64)
