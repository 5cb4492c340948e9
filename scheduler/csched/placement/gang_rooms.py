"""A room for each part of one start of a heterogeneous job, so that all parts fit at once."""

from collections.abc import Callable, Sequence

import numpy as np

from csched.placement.dtypes import Floats, Ints
from csched.placement.schedule import Board

MOST_TRIES = 400
"""Rooms tried at the cheapest, before parts just go where they first fit."""

Take = Callable[[int, int, int], None]
"""Take (sign 1) what a part holds in a room off the board, or give it back (-1)."""


class RoomChoice:
    """The board is left as it was found."""

    def __init__(self, board: Board, take: Take, costs_kg: Floats, rooms: Ints, sizes: Sequence[int]) -> None:
        """`costs_kg` of each part in each room, infinite where it may not or alone cannot be; shape (K, P)."""
        self._board, self._take, self._costs, self._rooms = board, take, costs_kg, rooms.tolist()
        self._order = sorted(range(len(sizes)), key=lambda part: (-sizes[part], part))
        self._tries = MOST_TRIES

    def found(self) -> tuple[int, ...] | None:
        """A room for each part: the first choice that fits with parts big first, each at its cheapest."""
        chosen = self._cheap(()) or self._first_fit()
        return None if chosen is None else tuple(room for _, room in sorted(zip(self._order, chosen, strict=True)))

    def _cheap(self, chosen: tuple[int, ...]) -> tuple[int, ...] | None:
        if len(chosen) == len(self._order):
            return chosen
        part = self._order[len(chosen)]
        for room in sorted(self._rooms, key=lambda room: (self._costs[part, room], room)):
            if self._tries == 0 or not np.isfinite(self._costs[part, room]):
                return None
            self._tries -= 1
            self._take(part, room, 1)
            found = self._cheap((*chosen, room)) if self._board.valid else None
            self._take(part, room, -1)
            if found is not None:
                return found
        return None

    def _first_fit(self) -> tuple[int, ...] | None:
        chosen: list[int] = []
        for part in self._order:
            for room in self._rooms:
                if np.isfinite(self._costs[part, room]):
                    self._take(part, room, 1)
                    if self._board.valid:
                        chosen.append(room)
                        break
                    self._take(part, room, -1)
            else:
                break
        for part, room in zip(self._order, chosen, strict=False):
            self._take(part, room, -1)
        return tuple(chosen) if len(chosen) == len(self._order) else None
