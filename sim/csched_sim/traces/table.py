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
    known: Sequence[str] | None = None,
) -> Iterator[tuple[int, Row]]:
    """(line, column -> stripped cell) of each row, in the order of the file; only the columns asked for.

    A row with too few or too many cells is a fault of the file, counted and located.

    Args:
        optional: columns that may be missing; then the row has no such key.
        header: the names of the columns where the file itself has no header.
        known: where the format is closed, all columns it has.

    Raises:
        InputError: a required column is missing, one is there twice, or one is not known.
    """
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    names = [name.strip() for name in (header or next(reader, []))]
    _check(names, required, known, notes)
    positions = [(name, names.index(name)) for name in (*required, *optional) if name in names]
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            notes.lines += 1
            notes.fault(f"not a row of cells: {error}", reader.line_num)
            continue
        if not cells:
            continue
        notes.lines += 1
        line = reader.line_num
        if len(cells) != len(names):
            notes.fault(f"{len(cells)} cells, not {len(names)}", line)
            continue
        yield line, {name: cells[position].strip() for name, position in positions}


def _check(names: Sequence[str], required: Sequence[str], known: Sequence[str] | None, notes: ReadingNotes) -> None:
    for name in required:
        if name not in names:
            hint = did_you_mean(name, names) or f"the format {notes.format} has {', '.join(required)}"
            raise InputError(f"the column `{name}` is missing", hint=hint, where=Where(str(notes.path), 1, name))
    for name in names:
        if known is not None and name not in known:
            raise InputError(
                f"unknown column `{name}`", hint=did_you_mean(name, known), where=Where(str(notes.path), 1, name)
            )
        if names.count(name) > 1 and name in (known or required):
            raise InputError(f"the column `{name}` is there twice", where=Where(str(notes.path), 1, name))
