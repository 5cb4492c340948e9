"""A batch script as sbatch(1) reads it: its #SBATCH and #CSCHED lines become a job, the rest is what runs.

Pure: the clock, the user and the fleet's hardware come in as arguments. Only lines before the first command count;
of an option given twice the later one counts, and the command line counts most.
"""

import getopt
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Final, TypeVar

from pydantic import ValidationError

from csched.clock import parse_instant
from csched.domain.job import Job
from csched.domain.run import Script
from csched.errors import InputError, Where
from csched.formats.batch_options import ON_CSCHED_LINES, ON_SBATCH_LINES, Argument, Option, Use
from csched.formats.validation import did_you_mean, input_error
from csched.units import parse_duration_s, parse_slurm_time_limit_s

T = TypeVar("T")

MAX_BYTES: Final = 4 * 1024 * 1024
_PREFIXES: Final = {"#SBATCH": ON_SBATCH_LINES, "#CSCHED": ON_CSCHED_LINES}
_PATTERN: Final = re.compile(r"%(.?)")
_KNOWN_PATTERNS: Final = frozenset("jAxuN%0123456789")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_GRES_PART: Final = re.compile(r"[0-9]+|[A-Za-z][A-Za-z0-9_-]*")
_OFFSET: Final = re.compile(r"now(?:\+(\d{1,9})(seconds?|minutes?|hours?|days?|weeks?)?)?")


@dataclass(frozen=True)
class Given:
    """One option as it was given. `value` is null for a flag."""

    option: Option
    value: str | None
    where: Where


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
    remarks: tuple[str, ...]
    """What a person should know although nothing is wrong."""


def read_batch_script(
    text: str, file: str, args: Sequence[str], command_line: Sequence[Given], around: Surroundings
) -> BatchJob:
    """The job that `text` asks for.

    Raises:
        InputError: not a batch script, or an option that is unknown, wrong, refused or missing; with its line.
    """
    _require_script(text, file)
    in_file = list(directives(text, file))
    given = {given.option.name: given for given in (*in_file, *command_line)}
    for one in given.values():
        if one.option.use is Use.REFUSED:
            raise InputError(f"`--{one.option.name}` is not supported", hint=one.option.text, where=one.where)
    name = _read(given["job-name"], _label) if "job-name" in given else _named_after(file)
    folder = around.folder / (_text(given, "chdir") or "")
    script = Script(
        body=text,
        args=tuple(args),
        work_dir=str(folder),
        stdout=str(folder / _file_pattern(given, "output", "slurm-%j.out")),
        stderr=str(folder / _file_pattern(given, "error", "")) if "error" in given else None,
        environment=_environment(given, around.environment),
        signal=_text(given, "signal"),
        options=tuple(_respelled(one) for one in given.values() if one.option.use is Use.CARRIED),
    )
    return BatchJob(
        job=_job(given, file, around),
        script=script,
        name=name,
        account=_read(given["account"], _label) if "account" in given else None,
        held="hold" in given,
        remarks=tuple(_unread(text)),
    )


def directives(text: str, file: str) -> Iterator[Given]:
    """The options on #SBATCH and #CSCHED lines before the first command, in order."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            return
        prefix = line.split(maxsplit=1)[0] if line.strip() else ""
        if prefix in _PREFIXES:
            yield from parse_options(_words(line.removeprefix(prefix), file, number), prefix, file, number)


def parse_options(words: Sequence[str], prefix: str, file: str, line: int) -> Iterator[Given]:
    """Options in the grammar of getopt_long: `--name=value`, `--name value`, `-n value`, `-nvalue`, short names."""
    known = _PREFIXES[prefix]
    shorts = {option.short: option for option in known.values() if option.short}
    short_spelling = "".join(f"{short}{':' if shorts[short].argument is Argument.REQUIRED else ''}" for short in shorts)
    try:
        pairs, rest = getopt.getopt(
            list(words), short_spelling, [_spelling(option, words) for option in known.values()]
        )
    except getopt.GetoptError as error:
        raise _option_error(error, prefix, Where(file, line)) from error
    for flag, value in pairs:
        option = known[flag[2:]] if flag.startswith("--") else shorts[flag[1:]]
        where = Where(file, line, f"--{option.name}")
        yield Given(option, None if option.argument is Argument.NONE else value.removeprefix("="), where)
    if rest:
        hint = "options begin with - and a value with blanks needs quotes"
        raise InputError(f"`{rest[0]}` is not an option", hint=hint, where=Where(file, line))


def _spelling(option: Option, words: Sequence[str]) -> str:
    """How getopt is told of an option; an optional argument counts only where it is written with `=`."""
    takes_value = option.argument is Argument.REQUIRED or (
        option.argument is Argument.OPTIONAL and any(word.startswith(f"--{option.name}=") for word in words)
    )
    return f"{option.name}=" if takes_value else option.name


def _option_error(error: getopt.GetoptError, prefix: str, where: Where) -> InputError:
    name = error.opt
    place = Where(where.file, where.line, f"--{name}" if len(name) > 1 else f"-{name}")
    if "not recognized" not in error.msg:
        return InputError(error.msg.replace(f"option --{name}", f"`--{name}`"), where=place)
    other = next((other for other, options in _PREFIXES.items() if other != prefix and name in options), None)
    known = [f"--{option}" for option in _PREFIXES[prefix]]
    hint = f"it belongs on a {other} line" if other else did_you_mean(f"--{name}", known)
    return InputError(f"unknown option `{place.field}`", hint=hint or "see `csched submit --help`", where=place)


def _words(line: str, file: str, number: int) -> list[str]:
    """Split like a shell would, without any expansion; a word that begins with # starts a comment."""
    splitter = shlex.shlex(line, posix=True, punctuation_chars=False)
    splitter.whitespace_split, splitter.commenters = True, ""
    words: list[str] = []
    try:
        for word in splitter:
            if word.startswith("#"):
                break
            words.append(word)
    except ValueError as error:
        raise InputError("a quote is not closed", where=Where(file, number)) from error
    return words


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
        if begun and line.startswith(tuple(_PREFIXES)):
            yield f"line {number} is not read, for it comes after the first command: {line[:80]}"


def _text(given: Mapping[str, Given], name: str) -> str | None:
    return given[name].value if name in given else None


def _respelled(given: Given) -> str:
    return f"--{given.option.name}={given.value}" if given.value else f"--{given.option.name}"


def read_columns(given: Mapping[str, Given], now: datetime) -> dict[str, object]:
    """The job's fields that these options set; what is wrong with a value itself the job says later."""
    columns: dict[str, object] = {}
    for name in _INSTANTS & given.keys():
        columns[_column(name)] = _read(given[name], partial(_instant, now=now))
    for name in _READERS.keys() & given.keys():
        columns[_column(name)] = _read(given[name], _READERS[name])
    for name in _AS_WRITTEN & given.keys():
        columns[_column(name)] = given[name].value
    return columns


def _job(given: Mapping[str, Given], file: str, around: Surroundings) -> Job:
    columns = read_columns(given, around.now)
    columns["gpus"], gpu_type, counted_at = _gpus(given, file)
    if gpu_type is not None:
        columns["hardware"] = _hardware_of_type(gpu_type, columns.get("hardware"), around.hardware, counted_at)
    if "time_limit_s" not in columns:
        hint = "add #SBATCH --time=2:00:00; capacity is held that long at most"
        raise InputError("the job has no time limit", hint=hint, where=Where(file, field="--time"))
    try:
        return Job.model_validate({"job": "0", "user": around.user, **columns})
    except ValidationError as error:
        raise input_error(error, lambda path: _place(str(path[0]) if path else None, given, file), Job) from error


def _place(column: str | None, given: Mapping[str, Given], file: str) -> Where:
    """The line of the option that gave `column`."""
    for name, one in given.items():
        if column is not None and column == _column(name):
            return one.where
    return Where(file, field=column)


def _column(option: str) -> str:
    renamed = {"expected-runtime": "expected_runtime_s", "begin": "earliest_start", "time": "time_limit_s"}
    return renamed.get(option, option.replace("-", "_"))


def _gpus(given: Mapping[str, Given], file: str) -> tuple[int, str | None, Where]:
    """GPUs in total, their type where one is named, and the place that says so.

    Slurm counts --gres and --gpus-per-node on each node; where the total is given too, the two must agree.
    """
    found: list[tuple[int, str | None, Where]] = []
    for name, times in (("gpus", None), ("gpus-per-node", "nodes"), ("gres", "nodes"), ("gpus-per-task", "ntasks")):
        if name in given:
            kind, count = _read(given[name], _gres if name == "gres" else _typed_count)
            factor = _read(given[times], _count) if times is not None and times in given else 1
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


def _hardware_of_type(kind: str, named: object, known: Collection[str], where: Where) -> tuple[str, ...]:
    """Kinds of hardware whose name has the Slurm GPU type as one of its parts, such as `h100` in `dgx-h100`."""
    wanted = kind.lower()
    fitting = tuple(sorted(key for key in known if wanted == key or wanted in key.split("-")))
    if not fitting:
        raise InputError(
            f"no site has GPUs of type `{kind}`", hint=f"there are {', '.join(sorted(known))}", where=where
        )
    if not isinstance(named, tuple):
        return fitting
    if both := tuple(key for key in named if key in fitting):
        return both
    raise InputError(f"GPUs of type `{kind}` are not in `--hardware={'|'.join(named)}`", where=where)


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
    return _read(given[name], _checked_pattern)


def _checked_pattern(text: str) -> str:
    if not text or not text.isprintable() or text.endswith("/"):
        raise ValueError(f"`{text}` is not a file name")
    for match in _PATTERN.finditer(text):
        if match[1] not in _KNOWN_PATTERNS or not match[1]:
            raise ValueError(f"`%{match[1]}` in `{text}` is not one of %j %A %x %u %N %%")
    return text


def _environment(given: Mapping[str, Given], source: Mapping[str, str]) -> Mapping[str, str]:
    if "export" not in given:
        return {}
    return _read(given["export"], lambda text: dict(_exported(text, source)))


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


def _read(given: Given, read: Callable[[str], T]) -> T:
    """The value of an option; what is wrong with it gets its place."""
    try:
        return read(given.value or "")
    except ValueError as error:
        raise InputError(str(error), where=given.where) from error


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
    "portable data-restricted purpose run-id outputs-kind "
    "outputs-return-to outputs-retain-at-site-h".split()
)
"""Options whose text is the column's value; the job itself says what is wrong with it."""
