"""What hangs on the clock or on the month: hours of a day with their zone, and shares of a tenant's GPU-hours."""

import re
from typing import Any, Final

from csched.domain.start_ban import known_zones
from csched.errors import InputError
from csched.formats.validation import did_you_mean
from csched_policies.clause import Clause
from csched_policies.groups import Groups
from csched_policies.operators import ClosedHours, Share
from csched_policies.parsing_countries import countries_of
from csched_policies.reading import Place, items, nearest, number_of, only_keys, text_of
from csched_policies.vocabulary import Attribute

_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_HOURS_HINT: Final = 'write {not_between: ["22:00", "06:00"], tz: Europe/Paris}'
_SHARE_HINT: Final = "write {at_most_pct: 20, outside: [DE], per: month}"


def hours_clause(attribute: Attribute, comparison: dict[str, Any], place: Place) -> Clause:
    """`{not_between: ["22:00", "06:00"], tz: Europe/Paris}`: hours [from, to), over midnight where `to` is earlier."""
    named = [operator for operator in attribute.operators if operator in comparison]
    if len(named) != 1:
        wrong = next((key for key in comparison if key not in {*attribute.operators, "tz"}), None)
        raise InputError(
            f"`{wrong}` is not an operator" if wrong else f"`{attribute.path}` needs one of `between`, `not_between`",
            hint=(did_you_mean(str(wrong), attribute.operators) if wrong else None) or _HOURS_HINT,
            where=(place.inner(wrong) if wrong else place).where,
        )
    only_keys(comparison, (named[0], "tz"), attribute.path, place, _HOURS_HINT)
    zone = _zone(comparison, place)
    at = place.inner(named[0])
    hours = items(comparison[named[0]], at, distinct=False)
    for index, text in enumerate(hours):
        if not _CLOCK.fullmatch(text):
            raise InputError(
                f"`{text}` is not a time of day", hint='write "06:30", in quotes', where=at.inner(index).where
            )
    if len(hours) != 2 or hours[0] == hours[1]:
        raise InputError("two different times of day were expected", hint=_HOURS_HINT, where=at.where)
    first, last = hours if named[0] == "not_between" else reversed(hours)
    words = "not between" if named[0] == "not_between" else "between"
    needed = f"{words} {hours[0]} and {hours[1]} {zone}"
    return Clause(attribute, named[0], ClosedHours(first, last, zone), needed)


def _zone(comparison: dict[str, Any], place: Place) -> str:
    """A time of day without its zone would mean another hour to every reader, so there is no default."""
    if "tz" not in comparison:
        raise InputError("hours need their zone, `tz`", hint=_HOURS_HINT, where=place.where)
    zone = text_of(comparison["tz"], place.inner("tz"))
    if zone not in known_zones():
        raise InputError(
            f"`{zone}` is not a time zone", hint=nearest(zone, sorted(known_zones())), where=place.inner("tz").where
        )
    return zone


def share_clause(attribute: Attribute, comparison: dict[str, Any], place: Place, groups: Groups) -> Clause:
    """`{at_most_pct: 20, outside: [DE], per: month}`: at most so much of a month's hours outside these countries."""
    only_keys(comparison, ("at_most_pct", "outside", "per"), attribute.path, place, _SHARE_HINT)
    for key in ("at_most_pct", "outside", "per"):
        if key not in comparison:
            raise InputError(f"a share needs `{key}`", hint=_SHARE_HINT, where=place.where)
    percent = number_of(comparison["at_most_pct"], place.inner("at_most_pct"))
    if not 0 <= percent <= 100:
        raise InputError(f"0 to 100 was expected, got `{percent:g}`", where=place.inner("at_most_pct").where)
    if comparison["per"] != "month":
        raise InputError(f"`{comparison['per']}` is not a period", hint="write month", where=place.inner("per").where)
    named = items(comparison["outside"], place.inner("outside"))
    outside = countries_of(named, place.inner("outside"), groups)
    if outside.by_law or outside.facts:
        raise InputError(
            "a share names countries and groups, not facts of a job",
            hint='write [DE] or ["@EEA"]',
            where=place.inner("outside").where,
        )
    needed = f"at most {percent:g} % of a month's GPU-hours outside {', '.join(named)}"
    return Clause(attribute, "at_most_pct", Share(percent / 100, outside), needed)
