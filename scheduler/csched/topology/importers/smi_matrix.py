"""`nvidia-smi topo -m`: the matrix of NVLinks and PCIe distances of one node.

Captures differ: an underlined header on a terminal, tabs or blanks, with or without NICs (`NIC0` with a legend, or
`mlx5_0` of old drivers), headers such as `GPU NUMA ID` that start like a GPU, affinity cells with commas.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import networkx as nx

from csched.errors import InputError, Where
from csched.topology.graph import NVLINK_GB_PER_S_PER_LINK, Kind, Medium, Topology, connect
from csched.topology.importers.imported import THIS_NODE, Imported
from csched.topology.pcie_tree import Closeness, add_pcie_tree

FORMAT: Final = "nvidia-smi-topo"
MOST_LINKS: Final = 18
"""NVLinks of one GPU up to NVLink 5; more than these on all pairs together means a switch in between."""
_MAX_DEVICES: Final = 256
_LINK_GB_PER_S: Final = NVLINK_GB_PER_S_PER_LINK[4]
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DEVICE: Final = re.compile(r"(?:GPU|NIC)\d+|mlx\d+_\d+")
_CELL: Final = re.compile(r"X|SYS|NODE|PHB|PXB|PIX|NV\d{1,3}|N/A")
_NIC_NAME: Final = re.compile(r"\s*(NIC\d+):\s*(\S+)")


@dataclass(frozen=True)
class Matrix:
    rows: Mapping[str, Mapping[str, str]]
    """Device -> device -> cell, such as `NV18`, `PIX` or `X`."""
    nic_names: Mapping[str, str]

    @property
    def gpus(self) -> list[str]:
        return [name for name in self.rows if name.startswith("GPU")]

    def links(self, one: str, other: str) -> int:
        """NVLinks between two GPUs, as told; 0 where the way is PCIe."""
        cell = self.rows[one].get(other, "")
        return int(cell[2:]) if cell.startswith("NV") else 0

    def closeness(self, one: str, other: str) -> Closeness | None:
        cell = self.rows[one].get(other, "")
        return Closeness[cell] if cell in Closeness.__members__ else None


def looks_like(text: str) -> bool:
    return any(_header(line) for line in _ANSI.sub("", text[:20_000]).splitlines())


def read(text: str, file: str) -> Imported:
    """The graph of the node.

    Raises:
        InputError: no matrix, a row that is short or asymmetric; with its line.
    """
    matrix = read_matrix(text, file)
    graph: Topology = nx.Graph()
    for position, gpu in enumerate(matrix.gpus):
        graph.add_node(gpu, kind=Kind.GPU.value, node=THIS_NODE, domain=THIS_NODE, index=position)
    for nic in (name for name in matrix.rows if name not in matrix.gpus):
        graph.add_node(nic, kind=Kind.NIC.value, node=THIS_NODE, device=matrix.nic_names.get(nic, nic))
    warnings = _add_nvlinks(graph, matrix)
    add_pcie_tree(graph, list(matrix.rows), matrix.closeness, THIS_NODE)
    return Imported(FORMAT, graph, warnings)


def read_matrix(text: str, file: str) -> Matrix:
    columns: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    nic_names: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(_ANSI.sub("", text).splitlines(), start=1):
        named = _NIC_NAME.match(line)
        if named:
            nic_names[named[1]] = named[2]
        elif not columns:
            columns = _header(line)
        else:
            cells = line.split()
            if cells and cells[0] in columns and cells[0] not in rows:
                rows[cells[0]] = _row(cells, columns, Where(file, number))
                lines[cells[0]] = number
    if not any(name.startswith("GPU") for name in rows):
        raise InputError("no matrix of GPUs", hint="give the output of `nvidia-smi topo -m`", where=Where(file))
    _require_symmetric(rows, file, lines)
    return Matrix(rows, nic_names)


def _header(line: str) -> list[str]:
    """The device columns of a header line, else nothing; a data row also starts with a device but then has cells."""
    words = line.split()
    devices = [word for word in words if _DEVICE.fullmatch(word)]
    if not devices or words[0] != devices[0] or any(_CELL.fullmatch(word) for word in words):
        return []
    return devices if len(devices) == len(set(devices)) <= _MAX_DEVICES else []


def _row(cells: list[str], columns: list[str], where: Where) -> dict[str, str]:
    values = cells[1 : 1 + len(columns)]
    if len(values) < len(columns) or not all(_CELL.fullmatch(value) for value in values):
        hint = f"{len(columns)} cells such as NV18, PIX or SYS were expected"
        raise InputError(f"the row of `{cells[0]}` is not whole", hint=hint, where=where)
    return dict(zip(columns, values, strict=True))


def _require_symmetric(rows: Mapping[str, Mapping[str, str]], file: str, lines: Mapping[str, int]) -> None:
    for one in rows:
        if rows[one][one] != "X":
            raise InputError(f"`{one}` is not X to itself", where=Where(file, lines[one]))
    for one, other in combinations(rows, 2):
        if rows[one][other] != rows[other][one]:
            told = f"`{one}` to `{other}` is {rows[one][other]}, the way back {rows[other][one]}"
            raise InputError(told, hint="copy the whole matrix again", where=Where(file, lines[other]))


def _add_nvlinks(graph: Topology, matrix: Matrix) -> tuple[str, ...]:
    gpus = matrix.gpus
    pairs = {pair: matrix.links(*pair) for pair in combinations(gpus, 2)}
    told = set(pairs.values())
    if not any(told):
        return ()
    unsure = (
        f"links are reckoned at {_LINK_GB_PER_S:g} GB/s in one direction (NVLink 2 to 4); NVLink 5 has twice that",
    )
    links = next(iter(told))
    if len(told) == 1 and links * (len(gpus) - 1) > max(MOST_LINKS, links):
        graph.add_node("nvswitch", kind=Kind.NVSWITCH.value, node=THIS_NODE, domain=THIS_NODE)
        for gpu in gpus:
            connect(graph, gpu, "nvswitch", Medium.NVLINK, links * _LINK_GB_PER_S, links=links)
        return unsure
    for (one, other), count in pairs.items():
        if count:
            connect(graph, one, other, Medium.NVLINK, count * _LINK_GB_PER_S, links=count)
    return unsure
