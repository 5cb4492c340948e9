"""The second reader's own view of where a job's data goes, and of clocks; shares nothing with the first reader."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

_MINUTE: Final = timedelta(minutes=1)
_TWO_DAYS_MIN: Final = 2 * 24 * 60 + 60
"""Whatever lasts longer touches every hour of the clock, also over a change of clocks."""


class Way:
    """From where the data rests to one site, and back to where the outputs go; as plain data of the fleet file."""

    def __init__(self, job: Mapping[str, Any], site: Mapping[str, Any], fleet: Mapping[str, Any]) -> None:
        self._site = site
        self._sites = {each["id"]: each for each in fleet["sites"]}
        self._links = list(enumerate(fleet.get("links") or []))
        self._home, self._gb = job.get("data_site"), job.get("data_gb")
        self._return_to = job.get("outputs_return_to")
        here = self._home == site["id"] or site["id"] in (job.get("data_replicas") or [])
        self.moves: bool | None = None if self._home is None or self._gb is None else True
        if self._gb == 0 or here:
            self.moves = False

    def fact(self, name: str, lapsed: frozenset[str]) -> Any:
        """A fact under `transfer.` or `path.`; `lapsed`: paths of the fleet file that nobody vouches for any more."""
        if name == "path.countries":
            return self._path(lapsed)
        if not self.moves or self._gb is None:
            return None
        if name == "transfer.from_country":
            return self._country(self._home, lapsed)
        if name == "transfer.size_gb":
            return self._gb
        link = self._link(self._home, lapsed)
        if link is None:
            return None
        lasts_s = self._gb * 8 / link["gbit_per_s"]
        per_gb = link.get("eur_per_gb")
        return {
            "transfer.duration_h": lasts_s / 3600,
            "transfer.start": lasts_s,
            "transfer.hours": lasts_s,
            "transfer.gbit_per_s": link["gbit_per_s"],
            "transfer.encrypted": link.get("encrypted"),
            "transfer.cost_eur": None if per_gb is None else per_gb * self._gb,
        }[name]

    def _country(self, site: str | None, lapsed: frozenset[str]) -> str | None:
        index = next((index for index, name in enumerate(self._sites) if name == site), None)
        if index is None or lapsed & {f"sites[{index}]", f"sites[{index}].country"}:
            return None
        country: str | None = self._sites[str(site)].get("country")
        return country

    def _link(self, other: str | None, lapsed: frozenset[str]) -> Mapping[str, Any] | None:
        for index, link in self._links:
            if sorted(link["between"]) == sorted([str(other), self._site["id"]]):
                gone = any(path == f"links[{index}]" or path.startswith(f"links[{index}].") for path in lapsed)
                return None if gone else link
        return None

    def _path(self, lapsed: frozenset[str]) -> list[str] | None:
        own = self._country(self._site["id"], lapsed)
        if self.moves is None or self._return_to is None or own is None:
            return None
        ends = [self._home] if self.moves else []
        passed: set[Any] = {own}
        if self._return_to != self._site.get("country"):
            back = [name for name, each in self._sites.items() if self._joined(name, each)]
            if not back:
                return None
            ends += back
        for end in ends:
            link = self._link(end, lapsed)
            if link is None or link.get("countries") is None:
                return None
            passed |= {self._country(end, lapsed), *link["countries"]}
        return None if None in passed else sorted(passed)

    def _joined(self, name: str, other: Mapping[str, Any]) -> bool:
        pair = sorted([name, self._site["id"]])
        return other.get("country") == self._return_to and any(
            sorted(link["between"]) == pair for _, link in self._links
        )


def touches(hours: list[str], zone: str, begins: datetime, lasts: timedelta) -> bool:
    """Whether a clock of the zone shows a time in [hours) in [begins, begins + lasts), by the minute."""
    if lasts > _TWO_DAYS_MIN * _MINUTE:
        return True
    at, ends = begins, begins + lasts
    while True:
        if _shows(at, hours, ZoneInfo(zone)):
            return True
        at = at.replace(second=0, microsecond=0) + _MINUTE
        if at >= ends:
            return False


def _shows(at: datetime, hours: list[str], zone: ZoneInfo) -> bool:
    clock, (first, last) = at.astimezone(zone).strftime("%H:%M"), hours
    return first <= clock < last if first < last else clock >= first or clock < last
