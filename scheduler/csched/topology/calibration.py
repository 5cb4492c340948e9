"""From the output of nccl-tests to the efficiency of one medium of one kind of hardware."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from csched.domain.hardware import Hardware
from csched.errors import InputError, Where
from csched.topology.collectives import BYTES_PER_GB, Collective, Efficiency, factor, steps
from csched.topology.communication import inside_level
from csched.topology.graph import Medium

_RANK: Final = re.compile(r"#\s+Rank\s+(\d+)\s.*\bon\s+(\S+)\s+device\s+(\d+)\s+\[")
_RUN: Final = re.compile(r"(all_reduce|reduce_scatter|all_gather|alltoall|broadcast|sendrecv)(?:_perf)?")
_KINDS: Final = {
    "all_reduce": Collective.ALL_REDUCE,
    "reduce_scatter": Collective.REDUCE_SCATTER,
    "all_gather": Collective.ALL_GATHER,
    "alltoall": Collective.ALL_TO_ALL,
    "broadcast": Collective.BROADCAST,
    "sendrecv": Collective.POINT_TO_POINT,
}
_LEAST_ROWS: Final = 3
_MOST_CHARACTERS: Final = 4 * 1024 * 1024
_HINT: Final = "give the output of nccl-tests with its `# Rank` lines, such as all_reduce_perf -b 8 -e 8G -f 2"


@dataclass(frozen=True)
class Calibration:
    """What one run tells of one medium."""

    hardware: str
    medium: Medium
    collective: Collective
    ranks: int
    nodes: int
    nominal_gb_per_s: float
    gb_per_s: float
    """The best bus bandwidth of the run."""
    efficiency: Efficiency


@dataclass(frozen=True)
class _Row:
    payload_bytes: float
    seconds: float
    algorithm_gb_per_s: float
    bus_gb_per_s: float


def calibrate(text: str, file: str, hardware: Hardware, collective: Collective | None = None) -> Calibration:
    """Efficiency of NVLink (ranks on one node), else of the fabric; `collective` where the output does not name it.

    Raises:
        InputError: not that output, too few sizes, or the catalogue knows no bandwidth to compare with.
    """
    if len(text) > _MOST_CHARACTERS:
        raise InputError(f"more than {_MOST_CHARACTERS // 2**20} Mi characters", hint=_HINT, where=Where(file))
    hosts = {int(match[1]): match[2] for match in _RANK.finditer(text)}
    rows = [row for line in text.splitlines() for row in _row(line)]
    if not hosts or len(rows) < _LEAST_ROWS:
        found = f"{len(hosts)} ranks and {len(rows)} sizes"
        raise InputError(f"{found} found, ranks and {_LEAST_ROWS} sizes are needed", hint=_HINT, where=Where(file))
    ranks, nodes = len(hosts), len(set(hosts.values()))
    kind = collective or _named(text) or _inferred(rows, ranks)
    if kind is None:
        raise InputError("the collective is neither named nor told by its bus factor", hint=_HINT, where=Where(file))
    medium, nominal = _nominal(hardware, ranks, nodes, file)
    best = max(row.bus_gb_per_s for row in rows)
    latency_s = _latency_s(rows, kind, ranks)
    efficiency = Efficiency(best / nominal, latency_s)
    return Calibration(hardware.key, medium, kind, ranks, nodes, nominal, best, efficiency)


def _row(line: str) -> list[_Row]:
    """The out-of-place half: the last eight columns are time, algbw, busbw and errors, twice."""
    words = line.split()
    if len(words) < 11 or not words[0].isdecimal() or not words[1].isdecimal():
        return []
    try:
        time_us, algorithm, bus = (float(word) for word in words[-8:-5])
    except ValueError:
        return []
    return [_Row(float(words[0]), time_us * 1e-6, algorithm, bus)] if time_us > 0 else []


def _named(text: str) -> Collective | None:
    match = _RUN.search(text[:20_000])
    return _KINDS[match[1]] if match else None


def _inferred(rows: list[_Row], ranks: int) -> Collective | None:
    """All-reduce alone has a bus factor above 1 (2 (n - 1) / n, for more than two ranks)."""
    largest = max(rows, key=lambda row: row.payload_bytes)
    if not largest.algorithm_gb_per_s or ranks < 3:
        return None
    ratio = largest.bus_gb_per_s / largest.algorithm_gb_per_s
    return Collective.ALL_REDUCE if abs(ratio - factor(Collective.ALL_REDUCE, ranks)) < 0.05 else None


def _nominal(hardware: Hardware, ranks: int, nodes: int, file: str) -> tuple[Medium, float]:
    """Nodes of one NVLink domain still speak NVLink; beyond it a ring leaves by all NICs of a node together."""
    if nodes <= hardware.nodes_per_domain:
        level = inside_level(hardware, ranks)
        return level.medium, level.gb_per_s
    if not hardware.nic_gb_per_s:
        raise InputError(f"the catalogue has no NIC bandwidth for `{hardware.key}`", where=Where(file))
    return Medium.FABRIC, hardware.nic_gb_per_s * max(1, ranks // nodes)


def _latency_s(rows: list[_Row], kind: Collective, ranks: int) -> float:
    """The time of a call of no bytes, by a line through the smaller half of the sizes, over its steps."""
    small = sorted(rows, key=lambda row: row.payload_bytes)[: max(_LEAST_ROWS, len(rows) // 2)]
    sizes = np.array([row.payload_bytes for row in small]) / BYTES_PER_GB
    times = np.array([row.seconds for row in small])
    _, intercept = np.polyfit(sizes, times, 1) if np.ptp(sizes) > 0 else (0.0, float(times.min()))
    return max(0.0, float(intercept)) / max(1, steps(kind, ranks))
