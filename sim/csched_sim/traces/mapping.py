"""A table of any origin, read by a mapping file that says which column is what, in which unit and zone.

The file is YAML; docs/traces.md explains it. Nothing is guessed: a field that no column is named for stays unknown, and
a size that the table does not have may be stated as one value for all jobs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from csched.clock import from_epoch_s, parse_zone
from csched.domain.base import Value
from csched.errors import InputError, Where
from csched.formats.files import read_text
from csched.formats.validation import input_error
from csched.formats.yaml_document import load_document
from csched_sim.traces.intake import intake
from csched_sim.traces.table import Row, table_rows
from csched_sim.traces.trace import ReadingNotes, TraceJob

# Unit -> what a number is multiplied and divided by, so that thousandths of whole numbers stay exact.
UNITS: Final[Mapping[str, tuple[int, int]]] = {
    "ms": (1, 1000), "s": (1, 1), "min": (60, 1), "h": (3600, 1),
    "gpu": (1, 1), "milligpu": (1, 1000), "percent": (1, 100),
}  # fmt: skip


class Source(Value):
    """Where a field comes from: a column of the table, or one value for all rows."""

    column: str | None = Field(default=None, min_length=1)
    value: str | int | float | None = None
    unit: Literal["ms", "s", "min", "h", "gpu", "milligpu", "percent"] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("give a column or a value, one of both")
        return self

    def cell(self, row: Row) -> str:
        return str(self.value) if self.column is None else row[self.column]

    def number(self, row: Row) -> float:
        times, parts = UNITS[self.unit] if self.unit else (1, 1)
        return float(self.cell(row)) * times / parts


def _column(raw: object) -> object:
    return {"column": raw} if isinstance(raw, str) else raw


From = Annotated[Source, BeforeValidator(_column)]
"""A column's name alone is short for `{column: NAME}`."""


class Fields(Value):
    """The run time comes from `runtime_s`, else from `start` to `end`."""

    submit: From
    gpus: From
    runtime_s: From | None = None
    start: From | None = None
    end: From | None = None
    time_limit_s: From | None = None
    job: From | None = None
    """null: `row-` and the line."""
    user: From | None = None
    tenant: From | None = None
    data_class: From | None = None
    pattern: From | None = None
    home_site: From | None = None

    @model_validator(mode="after")
    def _has_a_run_time(self) -> Self:
        if self.runtime_s is None and (self.start is None or self.end is None):
            raise ValueError("`runtime_s`, or `start` and `end`, must say how long a job ran")
        return self

    def sources(self) -> Iterator[Source]:
        for name in type(self).model_fields:
            source = getattr(self, name)
            if source is not None:
                yield source


class TimeSpelling(Value):
    format: str = "iso"
    """`iso`, `seconds` or `milliseconds` since 1970, or a pattern of strptime such as `%d.%m.%Y %H:%M`."""
    zone: str | None = None
    """IANA name, for times that do not tell theirs."""

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str | None) -> str | None:
        if zone is not None:
            parse_zone(zone)
        return zone


class TraceMapping(Value):
    schema_: Literal["csched/mapping/1"] = Field(default="csched/mapping/1", alias="schema")
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    time: TimeSpelling = TimeSpelling()
    fields: Fields


def read_mapping(path: Path) -> TraceMapping:
    """The mapping in a YAML file.

    Raises:
        InputError: with file, line, field and what was expected.
    """
    document = load_document(read_text(path), str(path))
    if not isinstance(document.data, dict):
        raise InputError("a mapping with `fields` was expected", where=Where(str(path)))
    try:
        return TraceMapping.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, TraceMapping) from error


def mapped_reader(mapping: TraceMapping) -> Callable[[Iterable[str], ReadingNotes], Iterator[TraceJob]]:
    """A reader for tables of this description."""

    def read_mapped(lines: Iterable[str], notes: ReadingNotes) -> Iterator[TraceJob]:
        if notes.zone is None and mapping.time.zone is not None:
            notes.zone = parse_zone(mapping.time.zone)
        columns = dict.fromkeys(source.column for source in mapping.fields.sources() if source.column is not None)
        for line, row in table_rows(lines, notes, required=tuple(columns), delimiter=mapping.delimiter):
            job = _job(mapping, row, line, notes)
            if job is not None:
                yield job

    return read_mapped


def _job(mapping: TraceMapping, row: Row, line: int, notes: ReadingNotes) -> TraceJob | None:
    fields = mapping.fields
    for name in ("submit", "gpus", "runtime_s", "start", "end"):
        source: Source | None = getattr(fields, name)
        if source is not None and not source.cell(row):
            notes.drop(f"no `{name}`", line)
            return None
    try:
        submit = _instant(fields.submit, mapping, row, notes)
        runtime_s = _runtime_s(mapping, row, notes)
        gpus = fields.gpus.number(row)
        limit = fields.time_limit_s
        limit_s = round(limit.number(row)) if limit is not None and limit.cell(row) else None
    except (ValueError, OverflowError, OSError):
        notes.fault("not a time or a number", line)
        return None
    facts: dict[str, object] = {"job": fields.job.cell(row) if fields.job else f"row-{line}", "submit": submit}
    for name in ("user", "tenant", "data_class", "pattern", "home_site"):
        named: Source | None = getattr(fields, name)
        if named is not None:
            facts[name] = named.cell(row) or None
    return intake(notes, line, facts, gpus=gpus, runtime_s=runtime_s, limit_s=limit_s)


def _runtime_s(mapping: TraceMapping, row: Row, notes: ReadingNotes) -> float:
    fields = mapping.fields
    if fields.runtime_s is not None:
        return fields.runtime_s.number(row)
    if fields.start is None or fields.end is None:
        raise ValueError("no run time")
    return (_instant(fields.end, mapping, row, notes) - _instant(fields.start, mapping, row, notes)).total_seconds()


def _instant(source: Source, mapping: TraceMapping, row: Row, notes: ReadingNotes) -> datetime:
    text, spelling = source.cell(row), mapping.time.format
    if spelling == "seconds":
        return from_epoch_s(float(text))
    if spelling == "milliseconds":
        return from_epoch_s(int(text) / 1000)
    if spelling == "iso":
        return notes.instant(text)
    return notes.placed(datetime.strptime(text, spelling))  # noqa: DTZ007  the notes know the zone
