"""Slurm's short form of many names: `rack[01-18]`, `dev[0-3,7]n[1-2]`, `login,gpu[1-4]`."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

MAX_NAMES: Final = 200_000
_ITEM: Final = re.compile(r"(?:[^\[\],]|\[[^\[\]]*\])+")
_PART: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_RANGE: Final = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


def expand(text: str) -> list[str]:
    """All names, in order.

    Raises:
        ValueError: brackets that do not match, a range that falls, a function such as `block{b1}`, too many names.
    """
    if "{" in text:
        raise ValueError(f"`{text}` calls a hostlist function, which only Slurm itself can answer")
    names: list[str] = []
    position = 0
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is None:
            raise ValueError(f"`{text}` is not a host list such as node[01-18]")
        for name in _names(item[0].strip()):
            names.append(name)
            if len(names) > MAX_NAMES:
                raise ValueError(f"`{text}` stands for more than {MAX_NAMES} names")
        position = item.end() + 1
        if position < len(text) and text[item.end()] != ",":
            raise ValueError(f"`{text}` is not a host list such as node[01-18]")
    return names


def _names(item: str) -> Iterator[str]:
    choices = [list(_numbers(inside, item)) if inside is not None else [plain] for inside, plain in _parts(item)]
    if item and not choices:
        raise ValueError(f"`{item}` is not a host list such as node[01-18]")
    return ("".join(parts) for parts in product(*choices))


def _parts(item: str) -> list[tuple[str | None, str]]:
    return [(match[1], match[2] or "") for match in _PART.finditer(item)]


def _numbers(inside: str, item: str) -> Iterator[str]:
    """`01-03,7` as 01 02 03 7: the width of the first number is kept."""
    for piece in inside.split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            raise ValueError(f"`{item}` has `{piece}` where a number or a range was expected")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"`{item}` has the range `{piece}`, which falls")
        if last - first >= MAX_NAMES:
            raise ValueError(f"`{item}` stands for more than {MAX_NAMES} names")
        yield from (f"{number:0{len(match[1])}}" for number in range(first, last + 1))
