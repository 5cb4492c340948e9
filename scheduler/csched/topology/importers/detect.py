"""Which format a topology file has is told by its content, never by its name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from csched.errors import InputError, Where
from csched.formats.files import read_text
from csched.topology.importers import (
    ibnetdiscover,
    nccl_xml,
    netq,
    openb,
    slurm_gres,
    slurm_topology,
    smi_matrix,
    smi_xml,
    topograph,
)
from csched.topology.importers.imported import Imported

MAX_MIB: Final = 64
_COMMENT: Final = re.compile(r"\A(?:\s*(?:#[^\n]*)?\n)*\s*")
_KNOWN: Final = (
    "nvidia-smi topo -m, nvidia-smi -q -x, NCCL XML, topograph JSON or model YAML, ibnetdiscover, NetQ JSON, "
    "Slurm's topology.conf, topology.yaml or gres.conf, or the openb node list"
)


def import_file(path: Path) -> Imported:
    """Read a topology file, plain or .gz, whatever its format.

    Raises:
        InputError: not readable, too large, of no known format, or not whole; with its place.
    """
    return import_text(read_text(path, MAX_MIB), str(path))


def import_text(text: str, file: str) -> Imported:
    """Read a topology, whatever its format.

    Raises:
        InputError: of no known format, or not whole; with its place.
    """
    start = text[_comment_end(text) :][:1]
    if "\0" in text or not start:
        raise InputError("no topology in it", hint=f"known are {_KNOWN}", where=Where(file))
    if start == "<":
        return _import_xml(text, file)
    if start in "[{":
        return (
            netq.read(text, file) if start == "[" or '"compounded_nodes"' in text else topograph.read_graph(text, file)
        )
    return _import_lines(text, file)


def _comment_end(text: str) -> int:
    match = _COMMENT.match(text)
    return match.end() if match else 0


def _import_xml(text: str, file: str) -> Imported:
    if smi_xml.looks_like(text):
        return smi_xml.read(text, file)
    if nccl_xml.looks_like(text):
        return nccl_xml.read(text, file)
    raise InputError("XML of no known tool", hint=f"known are {_KNOWN}", where=Where(file, 1))


def _import_lines(text: str, file: str) -> Imported:
    for recognises, read in _LINE_FORMATS:
        if recognises(text):
            return read(text, file)
    raise InputError("a topology of no known format", hint=f"known are {_KNOWN}", where=Where(file, 1))


def _has(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.search(text) is not None


_LINE_FORMATS: Final[tuple[tuple[Callable[[str], bool], Callable[[str, str], Imported]], ...]] = (
    (ibnetdiscover.looks_like, ibnetdiscover.read),
    (smi_matrix.looks_like, smi_matrix.read),
    (_has(r"(?im)^[ \t]*(SwitchName|BlockName|RingName|BlockSizes)="), slurm_topology.read_conf),
    (_has(r"(?im)^[ \t]*(Name|NodeName|AutoDetect)="), slurm_gres.read),
    (openb.looks_like, openb.read),
    (_has(r"(?m)^-[ \t]+topology[ \t]*:"), slurm_topology.read_yaml),
    (_has(r"(?m)^(switches|blocks)[ \t]*:"), topograph.read_model),
)
