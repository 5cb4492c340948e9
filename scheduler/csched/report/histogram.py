"""Counts drawn as bars of characters, which any terminal and any log can show."""

from collections.abc import Mapping
from typing import Final

from csched.report.rendering import Table

WIDTH: Final = 40


def histogram(counts: Mapping[str, int], name: str) -> Table:
    """One row for each label, in the order given; the longest bar is the commonest label."""
    total, most = sum(counts.values()), max(counts.values(), default=0)
    rows = [
        (label, f"{count:,}", f"{count / total:.1%}", _bar(count, most)) for label, count in counts.items() if total
    ]
    return Table((name, ">jobs", ">share", ""), rows)


def _bar(count: int, most: int) -> str:
    """Whole blocks, and a thin line for what is there but too little to be seen."""
    return "█" * round(WIDTH * count / most) or ("▏" if count else "") if most else ""
