"""Slurm's .conf grammar: `Key=Value` words, keys in any case, comments, a backslash that continues a line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from csched.errors import InputError, Where
from csched.topology.importers.hostlist import expand


@dataclass(frozen=True)
class ConfLine:
    values: Mapping[str, str]
    """Keys in lower case, in the order of the line."""
    where: Where

    @property
    def first(self) -> str:
        """The key that says what the line is about."""
        return next(iter(self.values))

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def hosts(self, key: str) -> list[str]:
        """The names a value stands for; none where the key is absent."""
        try:
            return expand(self.values.get(key, ""))
        except ValueError as error:
            raise InputError(str(error), where=Where(self.where.file, self.where.line, key)) from error


def conf_lines(text: str, file: str) -> Iterator[ConfLine]:
    """The lines that say something.

    Raises:
        InputError: a word without `=`, or a key twice on one line.
    """
    kept, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        start = start or number
        kept += line.split("#", 1)[0].rstrip()
        if kept.endswith("\\"):
            kept = kept[:-1] + " "
            continue
        where = Where(file, start)
        values = _values(kept.split(), where)
        if values:
            yield ConfLine(values, where)
        kept, start = "", 0
    if kept.strip():
        raise InputError("the last line continues into nothing", where=Where(file, start))


def _values(words: list[str], where: Where) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputError(f"`{word}` is not Key=Value", where=where)
        if key.lower() in values:
            raise InputError(f"`{key}` is there twice", where=where)
        values[key.lower()] = value
    return values
