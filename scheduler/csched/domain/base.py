"""What all values share: frozen, closed (an unknown key is an error), and the spelling of identifiers."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
)

from csched.clock import format_instant, parse_instant


class Value(BaseModel):
    """A frozen value that refuses unknown keys, so that a typo is never silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


# What may become part of a path, an argument or a column: no leading dash, no separator, no control character.
Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NOT_ISO = {"EL": "GR", "UK": "GB"}


def _country(code: str) -> str:
    if code in _NOT_ISO:
        raise ValueError(f"`{code}` is used by EU institutions; ISO 3166-1 alpha-2 says `{_NOT_ISO[code]}`")
    if code not in ISO_COUNTRIES:
        raise ValueError(f"`{code}` is not an ISO 3166-1 alpha-2 country code such as FR")
    return code


Country = Annotated[str, AfterValidator(_country)]


def _instant(raw: object) -> datetime:
    if isinstance(raw, str):
        return parse_instant(raw)
    if isinstance(raw, datetime):
        if raw.tzinfo is None:
            raise ValueError(f"`{raw.isoformat()}` has no zone; write {raw.isoformat()}Z for UTC")
        return raw.astimezone(UTC)
    raise ValueError(f"`{raw}` is not an ISO 8601 time such as 2026-11-22T12:00:00Z")


def _instant_or_day(raw: object) -> datetime:
    if isinstance(raw, str) and _DAY.fullmatch(raw.strip()):
        return _instant(f"{raw.strip()}T00:00:00Z")
    return _instant(raw)


Instant = Annotated[
    datetime, BeforeValidator(_instant), PlainSerializer(format_instant, return_type=str, when_used="json")
]

# As Instant, but a date alone is its first instant: csched never counts on a day it may not have.
InstantOrDay = Annotated[
    datetime, BeforeValidator(_instant_or_day), PlainSerializer(format_instant, return_type=str, when_used="json")
]

# ISO 3166-1 alpha-2, officially assigned codes.
ISO_COUNTRIES = frozenset(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM
    FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN
    MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT
    PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL
    TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW""".split()
)
