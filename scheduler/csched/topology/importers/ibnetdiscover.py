"""`ibnetdiscover`: the InfiniBand fabric, port by port."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import networkx as nx

from csched.errors import InputError, Where
from csched.topology.graph import GBIT_PER_GBYTE, Kind, Medium, Topology, connect
from csched.topology.importers.imported import Imported, require_bounded

FORMAT: Final = "ibnetdiscover"
GBIT_PER_S_PER_LANE: Final = {
    "SDR": 2.5, "DDR": 5, "QDR": 10, "FDR10": 10, "FDR": 14, "EDR": 25, "HDR": 50, "NDR": 100, "XDR": 200,
}  # fmt: skip
_DEVICE: Final = re.compile(r'(Switch|Ca|Rt)\s+(\d{1,5})\s+"([SHR]-[0-9a-fA-F]{1,16})"\s*#\s*"([^"]{0,256})"')
_PORT: Final = re.compile(
    r'\[(\d{1,5})\](?:\([0-9a-fA-F]+\))?\s+"([SHR]-[0-9a-fA-F]{1,16})"\[(\d{1,5})\].*?(?:(\d{1,2})x([A-Z]+\d*))?\s*$'
)
_HOST_AND_DEVICE: Final = re.compile(r"(\S+)\s+(?:HCA-\d+|mlx\d+_\d+|hfi1_\d+|ibp\S+|roce\S+)")
_NO_HOST_NAMES: Final = frozenset({"localhost", "ubuntu", "(none)"})
"""Names of hosts that were never given one: several hosts may share them."""
_FABRIC_MANAGER: Final = re.compile(r"ufm", re.IGNORECASE)
_LONGEST_LINE: Final = 2000
_AGGREGATION: Final = "Aggregation Node"


def looks_like(text: str) -> bool:
    return any(_DEVICE.match(line[:_LONGEST_LINE]) for line in text[:100_000].splitlines())


@dataclass
class _Fabric:
    graph: Topology = field(default_factory=nx.Graph)
    cables: dict[frozenset[tuple[str, str]], float | None] = field(default_factory=dict)
    """Both ends of a cable, each a device and a port -> GB/s; the file tells each cable from both ends."""
    managers: set[str] = field(default_factory=set)
    aggregation: int = 0
    nameless: int = 0


def read(text: str, file: str) -> Imported:
    """Switches, adapters and the nodes whose names the adapters carry.

    Raises:
        InputError: no device, a port outside a device, or a line that was cut.
    """
    fabric = _Fabric()
    device: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        where = Where(file, number)
        if len(line) > _LONGEST_LINE:
            raise InputError(f"a line of more than {_LONGEST_LINE} characters", where=where)
        if line.startswith(("Switch", "Ca", "Rt")):
            device = _add_device(fabric, line, where)
            require_bounded(fabric.graph, file, number)
        elif line.startswith("["):
            _add_cable(fabric, line, device, where)
    if not fabric.graph:
        raise InputError("no InfiniBand device", hint="give the output of `ibnetdiscover`", where=Where(file))
    loose = _join(fabric)
    return Imported(FORMAT, fabric.graph, tuple(_warnings(fabric, loose)))


def _add_device(fabric: _Fabric, line: str, where: Where) -> str:
    told = _DEVICE.match(line)
    if told is None:
        raise InputError("a device without its name", hint="the file seems cut here", where=where)
    kind, guid, label = told[1], told[3], told[4]
    if kind != "Ca":
        fabric.graph.add_node(guid, kind=Kind.SWITCH.value, label=label)
        return guid
    host = _HOST_AND_DEVICE.fullmatch(label)
    node = host[1] if host and host[1] not in _NO_HOST_NAMES else None
    if node and _FABRIC_MANAGER.search(node):
        fabric.managers.add(node)
        node = None
    elif _AGGREGATION in label:
        fabric.aggregation += 1
    elif node is None:
        fabric.nameless += 1
    fabric.graph.add_node(guid, kind=Kind.NIC.value, label=label, **({"node": node} if node else {}))
    return guid


def _add_cable(fabric: _Fabric, line: str, device: str | None, where: Where) -> None:
    told = _PORT.match(line)
    if told is None or device is None:
        message = "a port without its other end" if told is None else "a port before any device"
        raise InputError(message, hint="the file seems cut here", where=where)
    port, other, other_port, lanes, rate = told.groups()
    per_lane = GBIT_PER_S_PER_LANE.get(rate or "")
    gb_per_s = int(lanes) * per_lane / GBIT_PER_GBYTE if per_lane else None
    fabric.cables[frozenset(((device, port), (other, other_port)))] = gb_per_s


def _join(fabric: _Fabric) -> int:
    """Make each cable an edge, parallel ones together. Returns how many end at a device that is not described."""
    loose = 0
    for ends, gb_per_s in fabric.cables.items():
        devices = sorted({device for device, _ in ends})
        if len(devices) < 2 or any(device not in fabric.graph for device in devices):
            loose += 1
            continue
        connect(fabric.graph, devices[0], devices[1], Medium.FABRIC, gb_per_s)
    return loose


def _warnings(fabric: _Fabric, loose: int) -> Iterator[str]:
    yield "the fabric does not tell GPUs or NVLink domains"
    if fabric.aggregation:
        yield f"{fabric.aggregation} adapters are aggregation nodes inside switches"
    if fabric.nameless:
        yield f"{fabric.nameless} adapters carry no host name and count for no node"
    for manager in sorted(fabric.managers):
        yield f"`{manager}` manages the fabric and is not counted as a node"
    if loose:
        yield f"{loose} cables end at a device that is not described"
