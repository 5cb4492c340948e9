"""NVIDIA topograph: the JSON of its `graph` engine and the YAML of its cluster models."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import networkx as nx

from csched.errors import InputError, Where
from csched.formats.yaml_document import Document, load_document
from csched.topology.graph import Kind, Medium, Topology, connect
from csched.topology.importers.hostlist import expand
from csched.topology.importers.imported import Imported, nvlink_domain, require_bounded
from csched.topology.importers.json_value import read_json

GRAPH_FORMAT: Final = "topograph-graph"
MODEL_FORMAT: Final = "topograph-model"
_NO_GPUS: Final = "the file tells nodes and domains, not how many GPUs a node has"
_DOMAIN_LABELS: Final = (
    "accelerator.topograph.run/domain",
    "network.topology.nvidia.com/accelerator",
    "nvidia.com/gpu.clique",
)
_MODEL_DOMAIN: Final = "accelerator.topology.test/domain"
_MODEL_SUB_DOMAIN: Final = "accelerator.topology.test/sub-domain"


def read_graph(text: str, file: str) -> Imported:
    """Instances with their switches, closest first, and their NVLink domain.

    Raises:
        InputError: not that JSON; with the field.
    """
    instances = _document(text, file).get("instances")
    if not isinstance(instances, list):
        raise InputError(
            "`instances` is missing", hint="give the output of topograph's graph engine", where=Where(file)
        )
    graph: Topology = nx.Graph()
    for position, instance in enumerate(instances):
        where = Where(file, field=f"instances[{position}]")
        if not isinstance(instance, dict) or not isinstance(instance.get("id"), str) or not instance["id"]:
            raise InputError("an instance needs an `id`", where=where)
        layers = instance.get("network_layers") or []
        if not isinstance(layers, list) or not all(isinstance(layer, str) for layer in layers):
            raise InputError("`network_layers` is a list of switch names, closest first", where=where)
        domain = _instance_domain(instance)
        graph.add_node(instance["id"], kind=Kind.NODE.value, **({"domain": domain} if domain else {}))
        _join_layers(graph, [instance["id"], *filter(None, layers)], where)
        require_bounded(graph, file)
    return Imported(GRAPH_FORMAT, graph, (_NO_GPUS,))


def read_model(text: str, file: str) -> Imported:
    """A tree of switches with blocks of nodes below its leaves.

    Raises:
        InputError: not such a model; with the line.
    """
    document = load_document(text, file)
    model = _mapping(document, (), document.data)
    graph: Topology = nx.Graph()
    for name, switch in _mapping(document, ("switches",), model.get("switches") or {}).items():
        graph.add_node(name, kind=Kind.SWITCH.value)
        below = _mapping(document, ("switches", name), switch or {}).get("switches") or []
        for child in _texts(document, ("switches", name, "switches"), below):
            graph.add_node(child, kind=Kind.SWITCH.value)
            _join(graph, child, name, document.where(("switches", name)))
    blocks = model.get("blocks")
    if not isinstance(blocks, list):
        raise InputError("`blocks` is a list of nodes below a switch", where=document.where(("blocks",)))
    for position in range(len(blocks)):
        _add_block(graph, document, position, _mapping(document, ("blocks", position), blocks[position]))
    return Imported(MODEL_FORMAT, graph, (_NO_GPUS,))


def _add_block(graph: Topology, document: Document, position: int, block: Mapping[str, Any]) -> None:
    path = ("blocks", position)
    annotations = _mapping(document, (*path, "annotations"), block.get("annotations") or {})
    domain, part = annotations.get(_MODEL_DOMAIN), annotations.get(_MODEL_SUB_DOMAIN)
    facts = {key: str(value) for key, value in (("domain", domain), ("sub_domain", part)) if value}
    for short in _texts(document, (*path, "nodes"), block.get("nodes") or []):
        try:
            names = expand(short)
        except ValueError as error:
            raise InputError(str(error), where=document.where((*path, "nodes"))) from error
        for node in names:
            graph.add_node(node, kind=Kind.NODE.value, **facts)
            if isinstance(block.get("switch"), str):
                graph.add_node(block["switch"], kind=Kind.SWITCH.value)
                _join(graph, node, block["switch"], document.where((*path, "switch")))
        require_bounded(graph, document.file, document.where(path).line)


def _instance_domain(instance: Mapping[str, Any]) -> str | None:
    """The first of the labels that releases have used; an all-zero clique is the instance itself."""
    told: list[object] = []
    labels = instance.get("labels")
    if isinstance(labels, dict):
        told += [labels.get(key) for key in _DOMAIN_LABELS]
    attributes = instance.get("attributes")
    if isinstance(attributes, dict):
        told.append(attributes.get("nvlink"))
    told.append(instance.get("nvlink_domain"))
    for key in told:
        if isinstance(key, str) and key.strip():
            uuid, _, clique = key.rpartition(".")
            return key if not uuid else nvlink_domain(uuid, clique, instance["id"])
    return None


def _join_layers(graph: Topology, path: list[str], where: Where) -> None:
    for below, above in pairwise(path):
        graph.add_node(above, kind=Kind.SWITCH.value)
        _join(graph, below, above, where)


def _join(graph: Topology, below: str, above: str, where: Where) -> None:
    try:
        connect(graph, below, above, Medium.FABRIC, None)
    except ValueError as error:
        raise InputError(str(error), where=where) from error


def _document(text: str, file: str) -> dict[str, Any]:
    document = read_json(text, file)
    if not isinstance(document, dict):
        raise InputError("a JSON object was expected", where=Where(file, 1))
    return document


def _mapping(document: Document, path: tuple[str | int, ...], value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError("keys and values were expected", where=document.where(path))
    return value


def _texts(document: Document, path: tuple[str | int, ...], value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
        raise InputError("a list of names was expected", where=document.where(path))
    return [str(item) for item in value]
