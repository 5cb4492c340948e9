"""What is known of the way of a job's data: how much of it goes to a site, from where, by which link, through whom.

A transfer ends as the job starts, so it begins its own length earlier. Where nothing moves there is no transfer, and
rules that speak of one have nothing to say.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from csched.domain.site import Fleet, Link, Site
from csched_policies.facts import Facts
from csched_policies.vocabulary import is_of_pair

MOVES: Final = "transfer"
"""The key, beside the paths, of whether data moves to the site at all; None where that is not known."""
RESTS_ON: Final = frozenset({"data.site", "data.gb", "data.replicas", "outputs.return_to"})
"""Labels from which these facts follow."""
_BITS_PER_BYTE: Final = 8
_OF_LINK: Final = re.compile(r"links\[(?P<index>[0-9]+)\]")


class Transfers:
    """Facts under `transfer.` and `path.`, of any job at any site of one fleet."""

    def __init__(self, fleet: Fleet, ends_of_sites: tuple[dict[str, datetime], ...]) -> None:
        self._fleet = fleet
        self._links = {frozenset(link.between): link for link in fleet.links}
        self._sites = {site.id: site for site in fleet.sites}
        countries = zip(fleet.sites, ends_of_sites, strict=True)
        self._end_of_country = {site.id: end for site, ends in countries if (end := ends.get("site.country"))}
        self._end_of_link: dict[frozenset[str], datetime] = {}
        for path, told in fleet.evidence.items():
            match = _OF_LINK.match(path)
            if match and told.valid_until and int(match["index"]) < len(fleet.links):
                ends = frozenset(fleet.links[int(match["index"])].between)
                self._end_of_link[ends] = min(told.valid_until, self._end_of_link.get(ends, told.valid_until))

    def facts(self, labels: Facts, site: Site) -> dict[str, Any]:
        """Every fact of the way, by path; None is unknown, and so is all of a transfer that does not take place."""
        moves = _moves(labels, site)
        facts: dict[str, Any] = {MOVES: moves, "path.countries": self._path(labels, site, moves)}
        if not moves:
            return facts
        home, size_gb = labels["data.site"], float(labels["data.gb"])
        link, source = self._link(home, site.id), self._sites.get(home)
        lasts_s = size_gb * _BITS_PER_BYTE / link.gbit_per_s if link else None
        return {
            **facts,
            "transfer.from_country": source.country if source else None,
            "transfer.size_gb": size_gb,
            "transfer.duration_h": None if lasts_s is None else lasts_s / 3600,
            "transfer.gbit_per_s": link.gbit_per_s if link else None,
            "transfer.cost_eur": size_gb * link.eur_per_gb if link and link.eur_per_gb is not None else None,
            "transfer.encrypted": link.encrypted if link else None,
            "transfer.start": lasts_s,
            "transfer.hours": lasts_s,
        }

    def ends(self, labels: Facts, site: Site) -> dict[str, datetime]:
        """Path -> the instant from which nobody vouches for the link, or for the country of one of its ends."""
        if not self._end_of_link and not self._end_of_country:
            return {}
        home = labels.get("data.site") if _moves(labels, site) else None
        others = {one.id for one in self._returns(labels, site)}
        ways = others | ({home} if home is not None else set()) - {site.id}
        links = [self._end_of_link.get(frozenset({site.id, other})) for other in ways]
        countries = [self._end_of_country.get(name) for name in {site.id, *ways}]
        of_links, of_all = [end for end in links if end], [end for end in (*links, *countries) if end]
        found = {path: min(of_links) for path in _ON_LINK if of_links}
        if home in self._end_of_country:
            found["transfer.from_country"] = self._end_of_country[home]
        return found | ({"path.countries": min(of_all)} if of_all else {})

    def _link(self, one: str, other: str) -> Link | None:
        return self._links.get(frozenset({one, other}))

    def _path(self, labels: Facts, site: Site, moves: bool | None) -> tuple[str, ...] | None:
        """Countries between where the data rests and the site, and back to where the outputs are returned."""
        if moves is None or site.country is None:
            return None
        legs: list[set[str] | None] = [self._leg(labels["data.site"], site)] if moves else []
        if labels.get("outputs.return_to") == site.country:
            legs.append({site.country})
        else:
            legs += [self._leg(end.id, site) for end in self._returns(labels, site)] or [None]
        known = [leg for leg in legs if leg is not None]
        return tuple(sorted(set().union(*known))) if len(known) == len(legs) else None

    def _returns(self, labels: Facts, site: Site) -> Iterator[Site]:
        """Sites in the country of return that a link joins to this one: the outputs may go to any of them."""
        if site.country != labels.get("outputs.return_to"):
            for link in self._fleet.links:
                if site.id in link.between:
                    other = self._sites[link.between[0] if link.between[1] == site.id else link.between[1]]
                    if other.country == labels.get("outputs.return_to"):
                        yield other

    def _leg(self, home: str, site: Site) -> set[str] | None:
        link, source = self._link(home, site.id), self._sites.get(home)
        if link is None or link.countries is None or source is None or source.country is None or site.country is None:
            return None
        return {source.country, site.country, *link.countries}


_ON_LINK: Final = tuple(
    f"transfer.{name}" for name in ("duration_h", "gbit_per_s", "cost_eur", "encrypted", "start", "hours")
)


def _moves(labels: Facts, site: Site) -> bool | None:
    """Whether data goes to the site for the job; None where it is not known how much, or from where."""
    home, size_gb = labels.get("data.site"), labels.get("data.gb")
    if size_gb == 0 or home == site.id or site.id in (labels.get("data.replicas") or ()):
        return False
    return None if home is None or size_gb is None else True


def rests_on(paths: frozenset[str]) -> frozenset[str]:
    """These paths, with the labels from which facts of the way follow in place of those facts."""
    labels = frozenset(path for path in paths if not is_of_pair(path))
    return labels | RESTS_ON if labels != paths else labels
