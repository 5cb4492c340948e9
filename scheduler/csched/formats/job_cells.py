"""Columns of a jobs file that are more than one value: how each is written in one cell, and read from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from csched.domain.job import Component
from csched.errors import InputError, Where
from csched.formats.dependency import parse_dependency, spell_dependency


@dataclass(frozen=True)
class Cell:
    """One column; `read` gives what the field of a job is made from."""

    read: Callable[[str, Where], object]
    write: Callable[[Any], str]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split("|")]


def _read_list(text: str, _: Where) -> tuple[str, ...]:
    return tuple(_parts(text))


def _read_factors(text: str, where: Where) -> dict[str, str]:
    factors: dict[str, str] = {}
    for part in _parts(text):
        kind, colon, factor = part.partition(":")
        if not (kind and colon and factor):
            raise InputError(
                f"expected KIND:FACTOR, got `{part[:60]}`", hint="such as dgx-h100:2.1|gb300-nvl72:1", where=where
            )
        if kind in factors:
            raise InputError(f"`{kind}` is there twice", where=where)
        factors[kind] = factor
    return factors


def _write_factors(factors: Mapping[str, float]) -> str:
    return "|".join(f"{kind}:{factor!r}" for kind, factor in factors.items())


def _read_components(text: str, where: Where) -> list[dict[str, object]]:
    components: list[dict[str, object]] = []
    for part in _parts(text):
        gpus, colon, kinds = part.partition(":")
        if not gpus.isdecimal() or (colon and not kinds):
            raise InputError(
                f"expected GPUS:KIND or GPUS:KIND+KIND, got `{part[:60]}`",
                hint="such as 64:gb300-nvl72|8:l40s-pcie",
                where=where,
            )
        components.append({"gpus": int(gpus[:10]), "hardware": tuple(kinds.split("+")) if kinds else ()})
    return components


def _write_components(components: Sequence[Component]) -> str:
    return "|".join(f"{part.gpus}:{'+'.join(part.hardware)}".rstrip(":") for part in components)


_LIST = Cell(_read_list, "|".join)

CELLS: Final[Mapping[str, Cell]] = {
    "hardware": _LIST,
    "countries": _LIST,
    "datasets": _LIST,
    "runtime_factors": Cell(_read_factors, _write_factors),
    "components": Cell(_read_components, _write_components),
    "dependency": Cell(parse_dependency, spell_dependency),
}
