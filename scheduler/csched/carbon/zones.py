"""Grid zones as users spell them."""

import re
from collections.abc import Iterable, Sequence

from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean

ZONE_KEY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,10})*")


def require_known(asked: Iterable[str], known: Sequence[str], source: str) -> None:
    """Refuse a zone that `source` has no intensities for.

    Raises:
        InputError: it names the nearest zone that the source has, or all of them.
    """
    for zone in asked:
        if zone not in known:
            raise InputError(
                f"there is no carbon intensity for zone `{zone}` in {source}",
                hint=did_you_mean(zone.upper(), known) or "add its series, or use `--carbon climatology`",
                where=Where(source, field="zone"),
            )
