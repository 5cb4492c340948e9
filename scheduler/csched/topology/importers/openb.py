"""The node list of the openb trace (Alibaba's GPU cluster of FGD, ATC'23): `sn,cpu_milli,memory_mib,gpu,model`."""

import csv
from collections.abc import Iterator
from typing import Final

import networkx as nx

from csched.errors import InputError, Where
from csched.topology.graph import Kind, Topology
from csched.topology.importers.imported import Imported, require_bounded

FORMAT: Final = "openb-nodes"
_HEADER: Final = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
_MOST_GPUS: Final = 1024


def looks_like(text: str) -> bool:
    return text.startswith(",".join(_HEADER))


def read(text: str, file: str) -> Imported:
    """One closed vertex for each node, with the number and the model of its GPUs.

    Raises:
        InputError: a row that is short, or a number that is none; with its line.
    """
    graph: Topology = nx.Graph()
    for number, row in enumerate(_rows(text, file), start=2):
        where = Where(file, number)
        if len(row) != len(_HEADER):
            raise InputError(f"{len(_HEADER)} columns were expected, there are {len(row)}", where=where)
        name, gpus, model = row[0], row[3], row[4]
        if not gpus.isdecimal() or len(gpus) > 4 or int(gpus) > _MOST_GPUS:
            raise InputError(f"`{gpus}` is not a number of GPUs", where=where)
        graph.add_node(name, kind=Kind.NODE.value, gpus=int(gpus), **({"model": model} if model else {}))
        require_bounded(graph, file, number)
    return Imported(FORMAT, graph, ("the file does not tell how the GPUs are joined",))


def _rows(text: str, file: str) -> Iterator[list[str]]:
    """Rows below the header."""
    rows = csv.reader(text.splitlines()[1:], strict=True)
    try:
        yield from rows
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", where=Where(file, rows.line_num + 1)) from error
