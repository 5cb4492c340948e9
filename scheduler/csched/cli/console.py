"""The terminal, by rich. Only imported when there is something to draw."""

import os
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from csched.report.rendering import printable

_WIDTH_WITHOUT_TERMINAL = 160  # a pipe has no width of its own; a row should stay one line there


class PlainConsole(Console):
    """Takes text as text: no markup, no emoji names, no control characters. A job's name cannot redraw the screen."""

    def __init__(self, file: IO[str]) -> None:
        width = None if file.isatty() or os.environ.get("COLUMNS") else _WIDTH_WITHOUT_TERMINAL
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)
