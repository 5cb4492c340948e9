"""The options on #SBATCH and #CSCHED lines, in the grammar of sbatch(1)."""

import getopt
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from csched.errors import InputError, Where
from csched.formats.batch_options import ON_CSCHED_LINES, ON_SBATCH_LINES, Argument, Option
from csched.formats.validation import did_you_mean

T = TypeVar("T")

PREFIXES: Final = {"#SBATCH": ON_SBATCH_LINES, "#CSCHED": ON_CSCHED_LINES}
_NEXT_PART: Final = "hetjob"
"""Alone on an #SBATCH line, it begins the next part of a heterogeneous job."""


@dataclass(frozen=True)
class Given:
    """One option as it was given. `value` is null for a flag."""

    option: Option
    value: str | None
    where: Where


def directives(text: str, file: str) -> list[list[Given]]:
    """The options on #SBATCH and #CSCHED lines before the first command, in order; one list for each part of the job.

    Only a heterogeneous job has more than one.
    """
    parts: list[list[Given]] = [[]]
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            break
        prefix = line.split(maxsplit=1)[0] if line.strip() else ""
        if prefix not in PREFIXES:
            continue
        words = _words(line.removeprefix(prefix), file, number)
        if prefix == "#SBATCH" and words == [_NEXT_PART]:
            parts.append([])
        else:
            parts[-1] += parse_options(words, prefix, file, number)
    return parts


def parse_options(words: Sequence[str], prefix: str, file: str, line: int) -> Iterator[Given]:
    """Options in the grammar of getopt_long: `--name=value`, `--name value`, `-n value`, `-nvalue`, short names."""
    known = PREFIXES[prefix]
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
    other = next((other for other, options in PREFIXES.items() if other != prefix and name in options), None)
    known = [f"--{option}" for option in PREFIXES[prefix]]
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


def read_value(given: Given, read: Callable[[str], T]) -> T:
    """The value of an option; what is wrong with it gets its place."""
    try:
        return read(given.value or "")
    except ValueError as error:
        raise InputError(str(error), where=given.where) from error
