"""Rows of a delimited text file with a header, by the names of their columns."""

import csv
from collections.abc import Iterable, Iterator, Sequence

from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean
from csched_sim.traces.trace import ReadingNotes

Row = dict[str, str]


def table_rows(
    lines: Iterable[str],
    notes: ReadingNotes,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    delimiter: str = ",",
    quoted: bool = True,
    header: Sequence[str] | None = None,
) -> Iterator[tuple[int, Row]]:
    """(line, column -> stripped cell) of each row, in the order of the file; only the columns asked for.

    A row with too few or too many cells is a fault of the file, counted and located.

    Args:
        optional: columns that may be missing; then the row has no such key.
        header: the names of the columns where the file itself has no header.

    Raises:
        InputError: a required column is missing, or is there twice.
    """
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
    names = [name.strip() for name in (header or next(reader, []))]
    _check(names, required, notes)
    positions = [(name, names.index(name)) for name in (*required, *optional) if name in names]
    for line, cells in _cells(reader, notes):
        if len(cells) != len(names):
            notes.fault(f"{len(cells)} cells, not {len(names)}", line)
            continue
        yield line, {name: cells[position].strip() for name, position in positions}


def _check(names: Sequence[str], required: Sequence[str], notes: ReadingNotes) -> None:
    for name in required:
        if names.count(name) != 1:
            raise InputError(
                f"the column `{name}` is {'there twice' if name in names else 'missing'}",
                hint=did_you_mean(name, names) or f"the format {notes.format} has {', '.join(required)}",
                where=Where(notes.file, 1, name),
            )


def _cells(reader: "csv.Reader", notes: ReadingNotes) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not empty; a row that is no CSV is counted and left behind."""
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            notes.lines += 1
            notes.fault(f"not a row of cells: {error}", reader.line_num)
            continue
        if cells:
            notes.lines += 1
            yield reader.line_num, cells
