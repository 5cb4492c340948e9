"""Slurm's topology.conf and topology.yaml: what Slurm believes of switches and blocks. A block is an NVLink domain."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import networkx as nx

from csched.errors import InputError, Where
from csched.formats.yaml_document import Document, load_document
from csched.topology.graph import Kind, Medium, Topology, connect
from csched.topology.importers.hostlist import expand
from csched.topology.importers.imported import Imported, require_bounded
from csched.topology.importers.slurm_lines import ConfLine, conf_lines

CONF_FORMAT: Final = "slurm-topology-conf"
YAML_FORMAT: Final = "slurm-topology-yaml"
_NO_GPUS: Final = "the file tells nodes, not how many GPUs a node has; gres.conf does"
_SHAPES: Final = ("tree", "block", "flat", "ring", "torus3d")


class _Believed:
    """Collects switches and blocks from either format."""

    def __init__(self, file: str) -> None:
        self.graph: Topology = nx.Graph()
        self.warnings: list[str] = []
        self.blocks: dict[str, int] = {}
        self.plugins: dict[str, None] = {}
        self._file = file
        self._described: set[str] = set()

    def switch(self, name: str, children: Sequence[str], nodes: Sequence[str], where: Where) -> None:
        self.plugins["tree"] = None
        self._described.add(name)
        self.graph.add_node(name, kind=Kind.SWITCH.value)
        for child in children:
            self.graph.add_node(child, kind=Kind.SWITCH.value)
            self._join(child, name, where)
        require_bounded(self.graph, self._file, where.line)
        for node in nodes:
            self._node(node, where)
            self._join(node, name, where)

    def block(self, name: str, nodes: Sequence[str], where: Where) -> None:
        self.plugins["block"] = None
        self.blocks[name] = len(nodes)
        for node in nodes:
            self._node(node, where)
            earlier = self.graph.nodes[node].get("domain")
            if earlier not in {None, name}:
                raise InputError(f"node `{node}` is in block `{earlier}` and in `{name}`", where=where)
            self.graph.nodes[node]["domain"] = name

    def other(self, plugin: str, nodes: Sequence[str], where: Where) -> None:
        self.plugins[plugin] = None
        for node in nodes:
            self._node(node, where)

    def block_sizes(self, sizes: Sequence[int]) -> None:
        if sizes:
            small = [name for name, size in self.blocks.items() if size < sizes[0]]
            if small:
                self.warnings.append(f"blocks smaller than the base size {sizes[0]}: {', '.join(small[:10])}")

    def imported(self, name_of_format: str) -> Imported:
        if not self.plugins:
            raise InputError(
                "no switch and no block", hint="give topology.conf or topology.yaml", where=Where(self._file)
            )
        switches = {name for name, facts in self.graph.nodes(data=True) if facts["kind"] == Kind.SWITCH}
        missing = sorted(switches - self._described)
        if missing:
            self.warnings.append(f"switches that are named but not described: {', '.join(missing[:10])}")
        if len(self.plugins) > 1:
            self.warnings.append(f"several kinds of topology in one file: {', '.join(self.plugins)}")
        ignored = [plugin for plugin in self.plugins if plugin in {"ring", "torus3d"}]
        if ignored:
            self.warnings.append(f"of {' and '.join(ignored)} only the nodes were read")
        return Imported(name_of_format, self.graph, (*self.warnings, _NO_GPUS))

    def _node(self, name: str, where: Where) -> None:
        known = self.graph.nodes[name]["kind"] if name in self.graph else Kind.NODE.value
        if known != Kind.NODE:
            raise InputError(f"`{name}` is a switch and a node", where=where)
        self.graph.add_node(name, kind=Kind.NODE.value)
        require_bounded(self.graph, self._file, where.line)

    def _join(self, below: str, above: str, where: Where) -> None:
        try:
            connect(self.graph, below, above, Medium.FABRIC, None)
        except ValueError as error:
            raise InputError(str(error), where=where) from error


def read_conf(text: str, file: str) -> Imported:
    """topology.conf of topology/tree, topology/block and, nodes only, topology/ring. LinkSpeed is ignored, as by Slurm.

    Raises:
        InputError: a line that is none of these, a node in two blocks; with the line.
    """
    believed = _Believed(file)
    sizes: list[int] = []
    for line in conf_lines(text, file):
        match line.first:
            case "switchname":
                for name in line.hosts("switchname"):
                    believed.switch(name, line.hosts("switches"), line.hosts("nodes"), line.where)
            case "blockname":
                believed.block(line.values["blockname"], line.hosts("nodes"), line.where)
            case "ringname":
                believed.other("ring", line.hosts("nodes"), line.where)
            case "blocksizes":
                sizes = _sizes(line)
            case key:
                known = "SwitchName, BlockName, RingName and BlockSizes"
                raise InputError(
                    f"`{key}` begins no line of topology.conf", hint=f"known are {known}", where=line.where
                )
    believed.block_sizes(sizes)
    return believed.imported(CONF_FORMAT)


def read_yaml(text: str, file: str) -> Imported:
    """topology.yaml (Slurm 25.05 and later): all its named topologies together, as views of the same nodes.

    Raises:
        InputError: not such a list; with the line.
    """
    document = load_document(text, file)
    if not isinstance(document.data, list):
        raise InputError("a list of topologies was expected", where=document.where())
    believed = _Believed(file)
    default: str | None = None
    for position, topology in enumerate(document.data):
        shape = _shape(document, position, topology)
        default = default or (str(topology.get("topology")) if topology.get("cluster_default") is True else None)
        _READERS.get(shape, _read_others)(believed, document, (position, shape), topology[shape])
    if default is not None and len(document.data) > 1:
        believed.warnings.append(f"`{default}` is the cluster's default of {len(document.data)} topologies")
    return believed.imported(YAML_FORMAT)


def _sizes(line: ConfLine) -> list[int]:
    sizes = line.values["blocksizes"].split(",")
    if not all(size.isdecimal() and len(size) < 10 for size in sizes):
        raise InputError("BlockSizes is a list of numbers", where=line.where)
    return [int(size) for size in sizes]


def _shape(document: Document, position: int, topology: object) -> str:
    found = [shape for shape in _SHAPES if shape in topology] if isinstance(topology, dict) else []
    if len(found) != 1:
        message = f"a topology is exactly one of {', '.join(_SHAPES)}"
        raise InputError(message, where=document.where((position,)))
    return found[0]


def _read_tree(believed: _Believed, document: Document, path: tuple[Any, ...], tree: object) -> None:
    for where, switch in _entries(document, (*path, "switches"), tree, "switches"):
        children, nodes = (_hosts(switch, key, where) for key in ("children", "nodes"))
        believed.switch(_name(switch, "switch", where), children, nodes, where)


def _read_block(believed: _Believed, document: Document, path: tuple[Any, ...], block: object) -> None:
    for where, entry in _entries(document, (*path, "blocks"), block, "blocks"):
        believed.block(_name(entry, "block", where), _hosts(entry, "nodes", where), where)
    sizes = block.get("block_sizes") if isinstance(block, dict) else None
    if isinstance(sizes, list) and all(isinstance(size, int) for size in sizes):
        believed.block_sizes(sizes)


def _read_others(believed: _Believed, document: Document, path: tuple[Any, ...], other: object) -> None:
    """A flat topology names no nodes; of rings and toruses the nodes are read."""
    shape = path[-1]
    believed.other(shape, (), document.where(path))
    key = {"ring": "rings", "torus3d": "toruses"}.get(shape)
    if key is not None:
        for where, entry in _entries(document, (*path, key), other, key):
            believed.other(shape, _hosts(entry, "nodes", where), where)


_READERS: Final = {"tree": _read_tree, "block": _read_block}


def _entries(
    document: Document, path: tuple[Any, ...], around: object, key: str
) -> Iterator[tuple[Where, Mapping[str, Any]]]:
    entries = around.get(key) if isinstance(around, dict) else None
    if not isinstance(entries, list):
        raise InputError(f"`{key}` is a list", where=document.where(path))
    for position, entry in enumerate(entries):
        where = document.where((*path, position))
        if not isinstance(entry, dict):
            raise InputError("keys and values were expected", where=where)
        yield where, entry


def _name(entry: Mapping[str, Any], key: str, where: Where) -> str:
    name = entry.get(key)
    if not isinstance(name, str) or not name:
        raise InputError(f"`{key}` is missing", where=where)
    return name


def _hosts(entry: Mapping[str, Any], key: str, where: Where) -> list[str]:
    try:
        return expand(str(entry.get(key) or ""))
    except ValueError as error:
        raise InputError(str(error), where=where) from error
