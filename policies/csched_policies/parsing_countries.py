"""Lists of countries as rules write them: codes, groups, and facts that name countries."""

from typing import Final

from pydantic import TypeAdapter, ValidationError

from csched.domain.base import Country
from csched.errors import InputError, Where
from csched_policies.groups import REFERENCE, Groups
from csched_policies.operators import Countries
from csched_policies.reading import Place, nearest
from csched_policies.vocabulary import COUNTRIES, COUNTRY_REFERENCES, LAW_PARAMETER

_COUNTRY: Final[TypeAdapter[str]] = TypeAdapter(Country)


def country_of(text: str, where: Where) -> str:
    try:
        return _COUNTRY.validate_python(text)
    except ValidationError as error:
        message = str(error.errors()[0].get("ctx", {}).get("error", f"`{text}` is not a country"))
        hint = f"did you mean `{text.upper()}`?" if text.upper() in COUNTRIES else "groups are written `@EEA`"
        raise InputError(message, hint=hint, where=where) from error


def countries_of(items: list[str], place: Place, groups: Groups) -> Countries:
    codes: set[str] = set()
    fixed: list[str] = []
    by_law: list[str] = []
    facts: list[str] = []
    for index, item in enumerate(items):
        where = place.inner(index).where
        if not item.startswith("@"):
            codes.add(country_of(item, where))
        elif item[1:] in COUNTRY_REFERENCES:
            facts.append(item[1:])
        else:
            name, argument = _reference(item, groups, where)
            if argument == LAW_PARAMETER:
                by_law.append(name)
            else:
                fixed.append(f"{name}({argument})" if argument else name)
    return Countries(frozenset(codes), tuple(fixed), tuple(by_law), tuple(facts))


def _reference(item: str, groups: Groups, where: Where) -> tuple[str, str | None]:
    """Name and argument of `@EEA`, `@adequate(GDPR)` or `@adequate(data.law)`; the group exists."""
    match = REFERENCE.fullmatch(item)
    families = sorted({name.partition("(")[0] for name in groups.by_name if "(" in name})
    known = [
        *(f"@{name}" for name in sorted(groups.by_name)),
        *(f"@{family}({LAW_PARAMETER})" for family in families),
        *(f"@{path}" for path in COUNTRY_REFERENCES),
    ]
    if match and match["argument"] == LAW_PARAMETER and match["name"] in families:
        return match["name"], LAW_PARAMETER
    if match and item[1:] in groups.by_name:
        return match["name"], match["argument"]
    raise InputError(f"`{item}` is not a group of countries", hint=nearest(item, known), where=where)
