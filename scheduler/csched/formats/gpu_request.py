"""How many GPUs a batch job asks for, and of which type, by whichever options of sbatch(1) say so."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from csched.errors import InputError, Where
from csched.formats.directives import Given, read_value

_GRES_PART: Final = re.compile(r"[0-9]+|[A-Za-z][A-Za-z0-9_-]*")


def requested_gpus(given: Mapping[str, Given], file: str) -> tuple[int, str | None, Where]:
    """GPUs in total, their type where one is named, and the place that says so.

    Slurm counts --gres and --gpus-per-node on each node; where the total is given too, the two must agree.
    """
    found: list[tuple[int, str | None, Where]] = []
    for name, times in (("gpus", None), ("gpus-per-node", "nodes"), ("gres", "nodes"), ("gpus-per-task", "ntasks")):
        if name in given:
            kind, count = read_value(given[name], _gres if name == "gres" else _typed_count)
            factor = read_value(given[times], _count) if times is not None and times in given else 1
            found.append((count * factor, kind, given[name].where))
    if not found:
        hint = "add #SBATCH --gpus=1, or --nodes=2 with --gpus-per-node=8"
        raise InputError("the job asks for no GPU", hint=hint, where=Where(file, field="--gpus"))
    total, kind, where = found[0]
    for other, other_kind, other_where in found[1:]:
        if (other, other_kind or kind) != (total, kind or other_kind):
            raise InputError(f"{other} GPUs, but `{where.field}` says {total}", hint="say it once", where=other_where)
        kind = kind or other_kind
    return total, kind, where


def _typed_count(text: str) -> tuple[str | None, int]:
    kind, _, count = text.rpartition(":")
    return kind or None, _count(count)


def _gres(text: str) -> tuple[str | None, int]:
    resource, *rest = text.split(":")
    if resource.removeprefix("gres/") != "gpu" or len(rest) > 2 or not all(_GRES_PART.fullmatch(part) for part in rest):
        raise ValueError(f"`{text}` is not gpu, gpu:N or gpu:TYPE:N")
    if rest and rest[-1].isdecimal():
        return (rest[0] if len(rest) == 2 else None), _count(rest[-1])
    return (rest[0] if rest else None), 1


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= 7 and int(text) > 0):
        raise ValueError(f"`{text}` is not a count of at least 1")
    return int(text)


def hardware_of_type(kind: str, named: tuple[str, ...], known: Collection[str], where: Where) -> tuple[str, ...]:
    """Kinds of hardware whose name has the Slurm GPU type as one of its parts, such as `h100` in `dgx-h100`."""
    wanted = kind.lower()
    fitting = tuple(sorted(key for key in known if wanted == key or wanted in key.split("-")))
    if not fitting:
        raise InputError(
            f"no site has GPUs of type `{kind}`", hint=f"there are {', '.join(sorted(known))}", where=where
        )
    if not named:
        return fitting
    if both := tuple(key for key in named if key in fitting):
        return both
    raise InputError(f"GPUs of type `{kind}` are not in `--hardware={'|'.join(named)}`", where=where)
