"""Nodes that several jobs share, with CPUs that can run out before the GPUs do: which node a job spoils least.

Expected fragmentation after FGD (Weng et al., ATC'23): of a node's free GPUs, those that a job drawn from the queue
could not use there, because too few GPUs or CPUs are left beside them. A job goes where that grows least.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

SEVENTHS: Final = 7
"""Parts of a GPU, as MIG slices it."""


@dataclass(frozen=True)
class Need:
    """What a job asks of one node: whole GPUs, or `parts` of one, and CPUs."""

    gpus: int = 0
    parts: int = 0
    cpus: float = 0.0

    @property
    def count(self) -> int:
        """GPUs it touches."""
        return self.gpus or 1

    def parts_each(self, whole: int) -> int:
        """Of each GPU it touches, where a GPU has `whole` parts."""
        return whole if self.gpus else self.parts


class Queue:
    """Needs and how common they are; a GPU has `whole` parts."""

    def __init__(self, needs: Iterable[Need], whole: int = SEVENTHS, most: int = 64) -> None:
        """The `most` commonest needs stand for all."""
        self.whole = whole
        common = Counter(need for need in needs if need.gpus or need.parts).most_common(most)
        asked = np.array([need.parts_each(whole) for need, _ in common], dtype=np.int64)
        self.sizes, self.size_of = np.unique(asked, return_inverse=True)
        self.counts = np.array([need.count for need, _ in common], dtype=np.int64)
        self.cpus = np.array([need.cpus for need, _ in common])
        self.weights = np.array([times for _, times in common], dtype=np.float64)
        self.weights /= max(1.0, self.weights.sum())

    def fragmentation(self, parts: npt.NDArray[np.int64], cpus: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """GPUs of each node, shape (nodes,), that a job of the queue could not use on average.

        Args:
            parts: what is left of each GPU, shape (nodes, GPUs); 0 where there is none.
            cpus: free CPUs, shape (nodes,).
        """
        too_small = parts[:, :, None] < self.sizes
        wasted = (parts[:, :, None] * too_small).sum(axis=1)[:, self.size_of]
        fitting = (~too_small).sum(axis=1)[:, self.size_of]
        fits = (fitting >= self.counts) & (cpus[:, None] >= self.cpus)
        lost = np.where(fits, wasted, parts.sum(axis=1)[:, None])
        return np.asarray(lost @ self.weights / self.whole)


class SharedNodes:
    """Free parts and CPUs of nodes while jobs are placed one after another."""

    def __init__(self, parts: npt.NDArray[np.int64], cpus: npt.NDArray[np.float64], queue: Queue) -> None:
        self.parts = parts.astype(np.int64).copy()
        self.cpus = cpus.astype(np.float64).copy()
        self._queue = queue
        self._fragmented = queue.fragmentation(self.parts, self.cpus)

    @property
    def fragmentation(self) -> float:
        """Of all nodes together, in GPUs."""
        return float(self._fragmented.sum())

    def place(self, need: Need, closed: npt.NDArray[np.bool_] | None = None) -> int | None:
        """Take the need from the node where fragmentation grows least; null where none has it.

        Nodes that are `closed`, shape (nodes,), are left alone.

        Among equals the node with the least left, in GPUs and then in CPUs; part of a GPU comes from one that is
        begun already, if such a choice is no worse.
        """
        best: tuple[tuple[float, float, float, int], int] | None = None
        able = self.cpus >= need.cpus
        if closed is not None:
            able &= ~closed
        for left in self._residues(need, able):
            nodes = np.flatnonzero(((self.parts == left).sum(axis=1) >= need.count) & able)
            if len(nodes) == 0:
                continue
            after = self._after(nodes, left, need)
            grows = (self._queue.fragmentation(after, self.cpus[nodes] - need.cpus) - self._fragmented[nodes]).round(9)
            gpus = self.parts[nodes].sum(axis=1)
            position = int(np.lexsort((self.cpus[nodes], gpus, grows))[0])
            node = int(nodes[position])
            rank = (float(grows[position]), float(gpus[position]), float(self.cpus[node]), left)
            best = (rank, node) if best is None or rank < best[0] else best
        if best is None:
            return None
        node, left = best[1], best[0][3]
        self.parts[node] = self._after(np.array([node]), left, need)[0]
        self.cpus[node] -= need.cpus
        self._refresh(node)
        return node

    def remove(self, node: int) -> None:
        """The node is taken as a whole."""
        self.parts[node] = 0
        self._refresh(node)

    def _residues(self, need: Need, able: npt.NDArray[np.bool_]) -> list[int]:
        """What may be left of a GPU that the need can be taken from."""
        if need.gpus:
            return [self._queue.whole]
        return [int(left) for left in np.unique(self.parts[able]) if left >= need.parts]

    def _after(self, nodes: npt.NDArray[np.int64], left: int, need: Need) -> npt.NDArray[np.int64]:
        """Parts of the nodes once the need is taken from the first GPUs that have `left`."""
        after = self.parts[nodes]
        matching = after == left
        chosen = matching & (np.cumsum(matching, axis=1) <= need.count)
        return np.asarray(after - chosen * need.parts_each(self._queue.whole))

    def _refresh(self, node: int) -> None:
        one = slice(node, node + 1)
        self._fragmented[one] = self._queue.fragmentation(self.parts[one], self.cpus[one])
