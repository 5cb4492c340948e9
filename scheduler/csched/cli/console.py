"""The terminal, by rich. Only imported when there is something to draw."""

import os
from typing import IO, Any

import rich.table
from rich import box
from rich.console import Console, RenderableType
from rich.text import Text

from csched.report.rendering import Pairs, Table, printable

_WIDTH_FOR_WHOLE_CELLS = 120
_WIDTH_WITHOUT_TERMINAL = 160  # a pipe has no width of its own; a row should stay one line there


class PlainConsole(Console):
    """Takes text as text: no markup, no emoji names, no control characters. A job's name cannot redraw the screen."""

    def __init__(self, file: IO[str]) -> None:
        width = None if file.isatty() or os.environ.get("COLUMNS") else _WIDTH_WITHOUT_TERMINAL
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """rich would end the program with 1; who reads `csched queue | head` has made no mistake."""
        raise BrokenPipeError

    def draw(self, part: Table | Pairs | RenderableType) -> None:
        if isinstance(part, Table):
            self.print(_table(part, narrow=self.width < _WIDTH_FOR_WHOLE_CELLS))
        elif isinstance(part, Pairs):
            self.print(_pairs(part))
        else:
            self.print(part)


def _table(table: Table, *, narrow: bool) -> rich.table.Table:
    """On a narrow terminal every cell may fold: what is cut without a mark would be read as another figure."""
    drawn = rich.table.Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=table.title, title_justify="left", title_style="bold"
    )
    for name in table.columns:
        right, last = name.startswith(">"), name == table.columns[-1]
        drawn.add_column(
            name.removeprefix(">"),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=not last and not narrow,
        )
    for row in table.rows:
        drawn.add_row(*row)
    return drawn


def _pairs(pairs: Pairs) -> rich.table.Table:
    drawn = rich.table.Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for row in pairs.rows:
        drawn.add_row(*row)
    return drawn
