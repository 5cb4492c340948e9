"""A batch script as sbatch(1) reads it: its #SBATCH and #CSCHED lines become a job, the rest is what runs.

Pure: the clock, the user and the fleet's hardware come in as arguments. Only lines before the first command count;
of an option given twice the later one counts, and the command line counts most.
"""

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import Final

from pydantic import ValidationError

from csched.clock import parse_instant
from csched.domain.array import ArrayTasks
from csched.domain.job import Component, Job, Locality
from csched.domain.run import Script
from csched.errors import InputError, Where
from csched.formats.array_option import parse_array
from csched.formats.batch_options import Use
from csched.formats.dependency import parse_dependency
from csched.formats.directives import PREFIXES, Given, directives, read_value
from csched.formats.gpu_request import hardware_of_type, requested_gpus
from csched.formats.job_cells import CELLS
from csched.formats.validation import input_error
from csched.units import parse_duration_s, parse_slurm_time_limit_s

MAX_BYTES: Final = 4 * 1024 * 1024
_PATTERN: Final = re.compile(r"%(.?)")
_KNOWN_PATTERNS: Final = frozenset("jAaxuN%0123456789")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_OF_EACH_PART: Final = frozenset("gpus gpus-per-node gpus-per-task gres nodes ntasks hardware".split())
"""What the later parts of a heterogeneous job may say, beside what is carried along; the first part speaks for all."""
_OFFSET: Final = re.compile(r"now(?:\+(\d{1,9})(seconds?|minutes?|hours?|days?|weeks?)?)?")


@dataclass(frozen=True)
class Surroundings:
    """What a script's meaning depends on besides its text."""

    now: datetime
    user: str | None
    folder: PurePosixPath
    """Absolute; where the job starts unless --chdir says otherwise."""
    environment: Mapping[str, str]
    """Where `--export=NAME` finds its values; nothing else of it reaches the job."""
    hardware: Collection[str]
    """Kinds that the fleet has, to which a GPU type such as `h100` is matched."""


@dataclass(frozen=True)
class BatchJob:
    """What a batch script asks for. `job.job` is only a stand-in until the store gives an id."""

    job: Job
    script: Script
    name: str
    account: str | None
    held: bool
    array: ArrayTasks | None
    kill_on_invalid_dependency: bool
    """End it, rather than let it wait for ever, once its dependency can never be met."""
    remarks: tuple[str, ...]
    """What a person should know although nothing is wrong."""


def read_batch_script(
    text: str, file: str, args: Sequence[str], command_line: Sequence[Sequence[Given]], around: Surroundings
) -> BatchJob:
    """The job that `text` asks for; `command_line` has one list of options for each part of it.

    Raises:
        InputError: not a batch script, or an option that is unknown, wrong, refused or missing; with its line.
    """
    _require_script(text, file)
    parts = _parts(directives(text, file), command_line)
    given = parts[0]
    array, at_once = read_value(given["array"], parse_array) if "array" in given else (None, None)
    if array and len(parts) > 1:
        raise InputError("an array has no parts: each of its tasks is a job of one kind", where=given["array"].where)
    name = read_value(given["job-name"], _label) if "job-name" in given else _named_after(file)
    folder = around.folder / (_text(given, "chdir") or "")
    script = Script(
        body=text,
        args=tuple(args),
        work_dir=str(folder),
        stdout=str(folder / _file_pattern(given, "output", "slurm-%A_%a.out" if array else "slurm-%j.out")),
        stderr=str(folder / _file_pattern(given, "error", "")) if "error" in given else None,
        environment=_environment(given, around.environment),
        signal=_text(given, "signal"),
        options=tuple(_carried(parts)),
    )
    return BatchJob(
        job=_job(parts, at_once, file, around),
        script=script,
        name=name,
        account=read_value(given["account"], _label) if "account" in given else None,
        held="hold" in given,
        array=array,
        kill_on_invalid_dependency=_yes(given, "kill-on-invalid-dep"),
        remarks=tuple(_unread(text)),
    )


def _parts(in_file: Sequence[Sequence[Given]], command_line: Sequence[Sequence[Given]]) -> list[dict[str, Given]]:
    """Option by name for each part of the job; raises for what csched refuses, or takes of the first part alone."""
    parts: list[dict[str, Given]] = []
    for written, typed in zip_longest(in_file, command_line, fillvalue=()):
        parts.append({given.option.name: given for given in (*written, *typed)})
    for number, part in enumerate(parts):
        for name, one in part.items():
            if one.option.use is Use.REFUSED:
                raise InputError(f"`--{name}` is not supported", hint=one.option.text, where=one.where)
            if number and one.option.use is Use.UNDERSTOOD and name not in _OF_EACH_PART:
                raise InputError(
                    f"`--{name}` holds for the job as a whole", hint="say it in the first part", where=one.where
                )
    return parts


def _carried(parts: Sequence[Mapping[str, Given]]) -> Iterator[str]:
    """As on sbatch's command line, where `:` stands between the parts."""
    for number, part in enumerate(parts):
        if number:
            yield ":"
        yield from (_respelled(one) for one in part.values() if one.option.use is Use.CARRIED)


def _yes(given: Mapping[str, Given], name: str) -> bool:
    return name in given and read_value(given[name], _yes_or_no)


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(f"`{text}` is neither yes nor no")
    return text == "yes"


def _require_script(text: str, file: str) -> None:
    if not text.strip():
        raise InputError("the script is empty", where=Where(file))
    if not text.startswith("#!"):
        hint = "begin it with a line such as #!/bin/bash; a command goes with --wrap"
        raise InputError(
            "this is not a batch script: its first line does not begin with #!", hint=hint, where=Where(file, 1)
        )
    if len(text.encode()) > MAX_BYTES:
        raise InputError("the script is larger than 4 MiB", hint="read data from files", where=Where(file))
    for number, line in enumerate(text.split("\n"), start=1):
        if "\0" in line:
            raise InputError("the script has a NUL character", where=Where(file, number))
        if line.endswith("\r"):
            hint = "convert it: sed -i 's/\\r$//' " + shlex.quote(file)
            raise InputError("the line ends as on DOS (\\r\\n)", hint=hint, where=Where(file, number))


def _unread(text: str) -> Iterator[str]:
    """A remark for each directive after the first command: sbatch does not read it, and few people know."""
    begun = False
    for number, line in enumerate(text.split("\n"), start=1):
        begun = begun or bool(line.strip() and not line.startswith("#"))
        if begun and line.startswith(tuple(PREFIXES)):
            yield f"line {number} is not read, for it comes after the first command: {line[:80]}"


def _text(given: Mapping[str, Given], name: str) -> str | None:
    return given[name].value if name in given else None


def _respelled(given: Given) -> str:
    return f"--{given.option.name}={given.value}" if given.value else f"--{given.option.name}"


def read_columns(given: Mapping[str, Given], now: datetime) -> dict[str, object]:
    """The job's fields that these options set; what is wrong with a value itself the job says later."""
    columns: dict[str, object] = {}
    for name in _INSTANTS & given.keys():
        columns[_column(name)] = read_value(given[name], partial(_instant, now=now))
    for name in _READERS.keys() & given.keys():
        columns[_column(name)] = read_value(given[name], _READERS[name])
    for name in _AS_WRITTEN & given.keys():
        columns[_column(name)] = given[name].value
    if "dependency" in given:
        columns["dependency"] = parse_dependency(given["dependency"].value or "", given["dependency"].where)
    if "runtime-factors" in given:
        factors = given["runtime-factors"]
        columns["runtime_factors"] = CELLS["runtime_factors"].read(factors.value or "", factors.where)
    if "spread-job" in given:
        columns["locality"] = Locality.SPREAD
    return columns


def _job(parts: Sequence[Mapping[str, Given]], at_once: int | None, file: str, around: Surroundings) -> Job:
    given = parts[0]
    components = [_component(part, file, around) for part in parts]
    columns = read_columns(given, around.now) | {"array_limit": at_once}
    if len(components) > 1:
        columns |= {"components": components, "gpus": sum(part.gpus for part in components), "hardware": ()}
    else:
        columns |= {"gpus": components[0].gpus, "hardware": components[0].hardware}
    if "time_limit_s" not in columns:
        hint = "add #SBATCH --time=2:00:00; capacity is held that long at most"
        raise InputError("the job has no time limit", hint=hint, where=Where(file, field="--time"))
    try:
        return Job.model_validate({"job": "0", "user": around.user, **columns})
    except ValidationError as error:
        raise input_error(error, lambda path: _place(str(path[0]) if path else None, given, file), Job) from error


def _component(given: Mapping[str, Given], file: str, around: Surroundings) -> Component:
    gpus, gpu_type, counted_at = requested_gpus(given, file)
    hardware = read_value(given["hardware"], _list) if "hardware" in given else ()
    if gpu_type is not None:
        hardware = hardware_of_type(gpu_type, hardware, around.hardware, counted_at)
    try:
        return Component.model_validate({"gpus": gpus, "hardware": hardware})
    except ValidationError as error:
        raise input_error(error, lambda path: _place(str(path[0]), given, file), Component) from error


def _place(column: str | None, given: Mapping[str, Given], file: str) -> Where:
    """The line of the option that gave `column`."""
    for name, one in given.items():
        if column is not None and column == _column(name):
            return one.where
    return Where(file, field=column)


def _column(option: str) -> str:
    renamed = {"expected-runtime": "expected_runtime_s", "begin": "earliest_start", "time": "time_limit_s"}
    return renamed.get(option, option.replace("-", "_"))


def _label(text: str) -> str:
    if not 1 <= len(text) <= 64 or not text.isprintable() or "/" in text:
        raise ValueError(f"`{text}` is not a name: 1 to 64 printable characters without `/`")
    return text


def _named_after(file: str) -> str:
    """The script's file name; what a job's name must not have becomes `_`."""
    name = PurePosixPath(file).name[:64]
    return "".join(character if character.isprintable() else "_" for character in name) or "script"


def _file_pattern(given: Mapping[str, Given], name: str, default: str) -> str:
    """A file name in which only patterns stand that csched replaces; `..` is what the user wrote and stays."""
    if name not in given:
        return default
    pattern = read_value(given[name], _checked_pattern)
    if "array" not in given and "a" in _PATTERN.findall(pattern):
        raise InputError("`%a` is only known of an array's tasks", hint="see --array", where=given[name].where)
    return pattern


def _checked_pattern(text: str) -> str:
    if not text or not text.isprintable() or text.endswith("/"):
        raise ValueError(f"`{text}` is not a file name")
    for match in _PATTERN.finditer(text):
        if match[1] not in _KNOWN_PATTERNS or not match[1]:
            raise ValueError(f"`%{match[1]}` in `{text}` is not one of %j %A %a %x %u %N %%")
    return text


def _environment(given: Mapping[str, Given], source: Mapping[str, str]) -> Mapping[str, str]:
    if "export" not in given:
        return {}
    return read_value(given["export"], lambda text: dict(_exported(text, source)))


def _exported(text: str, source: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if text == "NONE":
        return
    for part in text.split(","):
        name, has_value, value = part.partition("=")
        if name == "ALL":
            raise ValueError("`ALL` would hand your whole environment to another site; name the variables instead")
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"`{name}` is not the name of a variable")
        if not has_value and name not in source:
            raise ValueError(f"`{name}` is not set here; write {name}=VALUE")
        yield name, value if has_value else source[name]


def _instant(text: str, now: datetime) -> datetime:
    match = _OFFSET.fullmatch(text.strip().lower())
    if match is None:
        return parse_instant(text)
    return now + timedelta(**{_plural(match[2] or "seconds"): int(match[1] or 0)})


def _plural(unit: str) -> str:
    return unit if unit.endswith("s") else f"{unit}s"


def _duration_s(text: str) -> int:
    if ":" in text or "-" in text:
        return parse_slurm_time_limit_s(text)
    if text.strip().isdecimal():
        raise ValueError(f"`{text}` has no unit; write {text}m for minutes or {text}s for seconds")
    return parse_duration_s(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


_INSTANTS: Final = frozenset({"begin", "earliest-start", "deadline"})
_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "expected-runtime": _duration_s,
    "countries": _list,
    "datasets": _list,
    "hardware": _list,
    "time": parse_slurm_time_limit_s,
}
_AS_WRITTEN: Final = frozenset(
    "time-limit-s expected-runtime-s data-class data-site data-gb tenant pattern load home-site priority "
    "portable reservation locality data-restricted purpose run-id outputs-kind "
    "outputs-return-to outputs-retain-at-site-h".split()
)
"""Options whose text is the column's value; the job itself says what is wrong with it."""
