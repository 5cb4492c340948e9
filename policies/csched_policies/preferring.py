"""`prefer`: which of the sites that are allowed a rule would rather see. Advice: it excludes none and costs nothing.

Each entry gives its weight in points to the best site of the fleet, none to the worst, and to the others in between by
where their value lies. What is not known earns nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from csched.domain.verdict import Preference
from csched.errors import InputError
from csched.formats.validation import did_you_mean
from csched_policies.clause import Clause, shown
from csched_policies.groups import Groups
from csched_policies.operators import Sight
from csched_policies.parsing import find_attribute, parse_clauses
from csched_policies.reading import Place, number_of, only_keys
from csched_policies.vocabulary import VOCABULARY, Kind

NEAR_DATA: Final = "near_data"
_SENSES: Final = ("maximise", "minimise")
_NEAR_KEYS: Final = ("weight", "max_transfer_h", "cost_eur_per_gb")
_NEAR_HINT: Final = "write {weight: 1, max_transfer_h: 6}"
_MOST_POINTS: Final = 1000.0


@dataclass(frozen=True)
class Liking:
    """One entry of `prefer`, checked."""

    path: str
    weight: float
    sense: Literal["maximise", "minimise", "meets", "near"]
    clauses: tuple[Clause, ...] = ()
    """For `meets`: all must hold."""
    max_transfer_h: float = 0.0
    """For `near`: from here on a site is worth nothing."""
    cost_eur_per_gb: float | None = None
    """For `near`: what a move is reckoned to cost, where the link does not say."""

    @property
    def reads(self) -> frozenset[str]:
        """Facts that can change the points."""
        if self.sense == "near":
            return frozenset({"transfer.duration_h", "transfer.cost_eur", "transfer.size_gb"})
        more = frozenset(path for clause in self.clauses for path in clause.reads)
        return more | {VOCABULARY[self.path].fact}


def read_liking(path: str, raw: object, place: Place, groups: Groups) -> Liking:
    """`PATH: {maximise: 2}`, `{minimise: 2}`, a comparison with its `weight`, or `near_data`.

    Raises:
        InputError: with the place.
    """
    if path == NEAR_DATA:
        return _near(raw, place)
    attribute = find_attribute(path, place.where)
    if attribute.kind in {Kind.CLOCK, Kind.QUOTA} or not (attribute.of_site or attribute.of_pair):
        raise InputError(
            f"`{path}` does not tell one site from another",
            hint="prefer a fact under `site.` or `transfer.`, or `near_data`",
            where=place.where,
        )
    if not isinstance(raw, dict) or not raw:
        raise InputError(
            f"`{path}` needs a direction", hint="write {maximise: 1} or {in: [FR], weight: 1}", where=place.where
        )
    senses = [sense for sense in _SENSES if sense in raw]
    if senses:
        if len(raw) > 1 or attribute.kind is not Kind.NUMBER:
            what = (
                "stands alone" if attribute.kind is Kind.NUMBER else f"needs a number, and {path} is {attribute.kind}"
            )
            raise InputError(f"`{senses[0]}` {what}", where=place.inner(senses[0]).where)
        weight = _points(raw[senses[0]], place.inner(senses[0]))
        return Liking(path, weight, "maximise" if senses[0] == "maximise" else "minimise")
    if "weight" not in raw:
        wrong = next((key for key in raw if key not in attribute.operators), None)
        hint = did_you_mean(str(wrong), (*_SENSES, *attribute.operators)) if wrong else None
        raise InputError(
            "a preference needs its `weight`", hint=hint or "write {in: [FR], weight: 1}", where=place.where
        )
    weight = _points(raw["weight"], place.inner("weight"))
    comparison = {key: operand for key, operand in raw.items() if key != "weight"}
    return Liking(path, weight, "meets", parse_clauses(path, comparison, place, groups))


def _near(raw: object, place: Place) -> Liking:
    given = only_keys(raw, _NEAR_KEYS, NEAR_DATA, place, _NEAR_HINT)
    for key in ("weight", "max_transfer_h"):
        if key not in given:
            raise InputError(f"`{NEAR_DATA}` needs `{key}`", hint=_NEAR_HINT, where=place.where)
    most_h = number_of(given["max_transfer_h"], place.inner("max_transfer_h"))
    if most_h <= 0:
        raise InputError("hours above 0 were expected", where=place.inner("max_transfer_h").where)
    cost = number_of(given["cost_eur_per_gb"], place.inner("cost_eur_per_gb")) if "cost_eur_per_gb" in given else None
    if cost is not None and cost < 0:
        raise InputError("a cost of at least 0 was expected", where=place.inner("cost_eur_per_gb").where)
    return Liking(
        NEAR_DATA,
        _points(given["weight"], place.inner("weight")),
        "near",
        max_transfer_h=most_h,
        cost_eur_per_gb=cost,
    )


def _points(raw: object, place: Place) -> float:
    points = number_of(raw, place)
    if not 0 < points <= _MOST_POINTS:
        raise InputError(f"a weight above 0 and at most {_MOST_POINTS:g} was expected", where=place.where)
    return points


def prefer(rule: str, liking: Liking, sights: Sequence[Sight]) -> list[Preference]:
    """What one entry makes of each site of the fleet, in order; `sights` see site, labels and way together."""
    if liking.sense == "near":
        return [_nearness(rule, liking, sight) for sight in sights]
    fact = VOCABULARY[liking.path].fact
    seen = [sight.fact(fact) for sight in sights]
    if liking.sense == "meets":
        shares = [float(all(clause.holds(sight) for clause in liking.clauses)) for sight in sights]
    else:
        shares = _between(seen, highest_is_best=liking.sense == "maximise")
    return [
        Preference(rule=rule, clause=liking.path, seen=shown(value), points=liking.weight * share)
        for value, share in zip(seen, shares, strict=True)
    ]


def _between(values: Sequence[float | None], *, highest_is_best: bool) -> list[float]:
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if low == high:
        return [0.0 if value is None else 1.0 for value in values]
    best, worst = (high, low) if highest_is_best else (low, high)
    return [0.0 if value is None else (value - worst) / (best - worst) for value in values]


def _nearness(rule: str, liking: Liking, sight: Sight) -> Preference:
    """All points where nothing moves, none from `max_transfer_h` on or where it is not known how long it takes."""
    if sight.facts.get("transfer") is False:
        return Preference(rule=rule, clause=NEAR_DATA, seen="nothing moves", points=liking.weight)
    hours = sight.fact("transfer.duration_h")
    if hours is None:
        return Preference(rule=rule, clause=NEAR_DATA, seen=None, points=0.0)
    cost, size_gb = sight.fact("transfer.cost_eur"), sight.fact("transfer.size_gb")
    if cost is None and size_gb is not None and liking.cost_eur_per_gb is not None:
        cost = liking.cost_eur_per_gb * size_gb
    told = f"{hours:.3g} h" + ("" if cost is None else f", {cost:.2f} EUR")
    share = max(0.0, 1.0 - hours / liking.max_transfer_h)
    return Preference(rule=rule, clause=NEAR_DATA, seen=told, points=liking.weight * share)
