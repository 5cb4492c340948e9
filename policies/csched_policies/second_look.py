"""A second reader of the rules, for the moment before a job is handed over: it trusts no verdict of the first.

It starts from the text of the files and from plain facts, and shares with the rest of the package nothing but the
reading of YAML. It is slow and simple: no table, no classes of jobs, one comparison after the other at every instant at
which anything can change. What it cannot read, it objects to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from csched.clock import format_instant, parse_instant
from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.formats.yaml_document import load_documents

YES, NO, UNKNOWN = "yes", "no", "unknown"

CLASSES: Final = ("public", "internal", "personal", "special", "health")
LEVELS: Final = {
    "ens": ("basica", "media", "alta"),
    "eucs": ("basic", "substantial", "high"),
    "gaiax": ("standard", "l1", "l2", "l3"),
}
SEAL_PER_CENT: Final = dict(zip((f"sov-{n}" for n in range(1, 9)), (15, 10, 10, 15, 20, 15, 10, 5), strict=True))
_DATES: Final = frozenset({"valid_from", "valid_until", "expires", "on"})


@dataclass(frozen=True)
class _Scene:
    """What one comparison may look at."""

    job: Mapping[str, Any]
    site: Mapping[str, Any]
    at: datetime
    lapsed: frozenset[str] = frozenset()
    """Parts of the site that nobody vouches for any more; an empty one is the whole site."""


class SecondLook:
    """`sources`: file name -> text, as the set in force names its files."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._rules: list[dict[str, Any]] = []
        self._groups: dict[str, list[Any]] = {}
        self._tenants: dict[str, dict[str, Any]] = {}
        self._datasets: dict[str, dict[str, Any]] = {}
        self._exceptions: list[dict[str, Any]] = []
        for name, text in sources.items():
            for document in load_documents(text, name):
                self._sort_in(name, document.data)
        dated = (self._groups, self._exceptions)
        self._turns = sorted({instant for part in dated for instant in _instants(part)})

    def _sort_in(self, name: str, written: Any) -> None:
        folder = name.partition("/")[0] if "/" in name else ""
        if folder == "groups":
            self._groups[written["group"]] = written["members"]
        elif name == "facts/datasets.yaml":
            self._datasets.update(written)
        elif folder == "facts":
            self._tenants.update(written)
        elif folder == "exceptions":
            self._exceptions.append(written)
        else:
            self._rules.append(written)

    def objections(self, job: Job, fleet: Fleet, site: str, start: datetime, end: datetime) -> tuple[str, ...]:
        """Why the job must not be at the site throughout [start, end); empty where it may."""
        if not self._rules:
            return ("there is no rule, and no rule allows nothing",)
        index = next((index for index, each in enumerate(fleet.sites) if each.id == site), None)
        if index is None:
            return (f"the fleet has no site {site}",)
        place, ends = fleet.sites[index].model_dump(mode="json"), _ends(fleet, f"sites[{index}]")
        turns = {*self._turns, *_instants(place), *(end for _, end in ends)}
        found: dict[str, None] = {}
        for at in (start, *sorted(turn for turn in turns if start < turn < end)):
            lapsed = frozenset(path for path, end in ends if end <= at)
            for told in self._inputs(job.model_dump(mode="json")):
                for objection in self._at(_Scene(told, place, at, lapsed)):
                    found.setdefault(objection)
        return tuple(found)

    def _inputs(self, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What is told of the job, once for each dataset it reads; the job can raise a class, never lower it."""
        named = told.get("datasets") or []
        if not named:
            yield told
        for name in named:
            known = self._datasets.get(name) or {}
            ranks = [CLASSES.index(each) for each in (known.get("class"), told["data_class"]) if each]
            laws = known.get("law")
            of_data = {
                "data_id": name,
                "data_class": CLASSES[max(ranks)] if known.get("class") else None,
                "data_law": [laws] if isinstance(laws, str) else laws,
            }
            marks = {known.get("restricted"), told["data_restricted"]} - {None}
            for mark in marks or {None}:
                yield {**told, **of_data, "data_restricted": mark}

    def _at(self, scene: _Scene) -> Iterator[str]:
        for rule in self._rules:
            if rule["mode"] != "enforce" or rule["enforce"] == "advisory":
                continue
            failing = self._failing(rule, scene)
            if failing and not self._excepted(rule, scene):
                yield f"rule {rule['id']} is not met at {format_instant(scene.at)}: {', '.join(failing)}"

    def _failing(self, rule: Mapping[str, Any], scene: _Scene) -> list[str]:
        """Paths of the clauses that are not surely met."""
        answers = {path: self._answer(path, test, scene) for path, test in (rule.get("when") or {}).items()}
        unknown = [path for path, answer in answers.items() if answer == UNKNOWN]
        if unknown:
            return unknown
        if NO in answers.values():
            return []
        return [path for path, test in rule["require"].items() if self._answer(path, test, scene) != YES]

    def _excepted(self, rule: Mapping[str, Any], scene: _Scene) -> bool:
        return rule["enforce"] == "overridable" and any(
            each["rule"]["id"] == rule["id"]
            and each["rule"]["version"] == rule["version"]
            and scene.site["id"] in each["sites"]
            and _approved(each) <= scene.at < _instant(each["expires"])
            and all(self._answer(path, test, scene) == YES for path, test in each["whom"].items())
            for each in self._exceptions
        )

    def _answer(self, path: str, test: Mapping[str, Any], scene: _Scene) -> str:
        seen = self._fact(path, scene)
        if seen is None:
            return UNKNOWN
        return _and(self._compare(path, operator, seen, operand, scene) for operator, operand in test.items())

    def _compare(self, path: str, operator: str, seen: Any, operand: Any, scene: _Scene) -> str:
        if operator in {"in", "not_in", "subset", "disjoint"}:
            wanted = operator in {"in", "subset"}
            values = seen if isinstance(seen, list) else [seen]
            return _and(self._among(value, operand, scene, wanted=wanted) for value in values)
        if operator == "has":
            return _or(_shows(each, operand, scene.at) for each in seen if each["scheme"] == operand["scheme"])
        if path == "data.class" and operator in {"at_least", "at_most"}:
            seen, operand = CLASSES.index(seen), CLASSES.index(operand)
        compare = _ORDERS.get(operator)
        return UNKNOWN if compare is None else _said(compare(seen, operand))

    def _among(self, value: str, operand: Sequence[str], scene: _Scene, *, wanted: bool) -> str:
        """Whether a value is (or, not `wanted`, is not) among the operand."""
        inside = _or(self._is(value, item, scene, doubtful=not wanted) for item in operand)
        return inside if wanted else {YES: NO, NO: YES, UNKNOWN: UNKNOWN}[inside]

    def _is(self, value: str, item: str, scene: _Scene, *, doubtful: bool) -> str:
        """`doubtful`: whether a member counts whose condition nobody knows to hold."""
        if not item.startswith("@"):
            return _said(value == item)
        name = item[1:]
        if name in {"tenant.country", "tenant.contract_locations"}:
            meant = self._fact(name, scene)
            return UNKNOWN if meant is None else _said(value in meant if isinstance(meant, list) else value == meant)
        if name.endswith("(data.law)"):
            family, laws = name.removesuffix("(data.law)"), self._fact("data.law", scene)
            if not laws:
                return UNKNOWN
            return _and(self._member(value, f"{family}({law})", scene, doubtful=doubtful) for law in laws)
        return self._member(value, name, scene, doubtful=doubtful)

    def _member(self, country: str, group: str, scene: _Scene, *, doubtful: bool) -> str:
        if group not in self._groups:
            return UNKNOWN
        covered = self._fact("site.operator.adequacy", scene)
        for listed in self._groups[group]:
            member = {"country": listed} if isinstance(listed, str) else listed
            if member["country"] != country or not _in_force(member, scene.at):
                continue
            condition = member.get("condition")
            if condition is None or condition in (covered or ()) or (doubtful and covered is None):
                return YES
        return NO

    def _fact(self, path: str, scene: _Scene) -> Any:
        """What is known under a path; None is unknown."""
        room, _, name = path.partition(".")
        if room == "site":
            return None if _is_lapsed(name, scene.lapsed) else _site_fact(name, scene.site)
        if path == "tenant.id":
            return scene.job["tenant"]
        if room == "tenant" or (path == "data.law" and not scene.job.get("data_law")):
            value = (self._tenants.get(scene.job["tenant"]) or {}).get(name)
            return [value] if name == "law" and isinstance(value, str) else value
        value = scene.job.get(name if room == "job" else f"{room}_{name}")
        return None if value == [] else value


def _ends(fleet: Fleet, of_site: str) -> list[tuple[str, datetime]]:
    """(path inside the site, end) of whatever is vouched for until some instant; an entry stands for its whole list."""
    return [
        (path.removeprefix(of_site).removeprefix(".").partition("[")[0], told.valid_until)
        for path, told in fleet.evidence.items()
        if told.valid_until is not None and path.startswith(of_site)
    ]


def _is_lapsed(name: str, lapsed: frozenset[str]) -> bool:
    if name in {"seal.min", "seal.score"} and any(part.startswith("seal") for part in lapsed):
        return True
    return any(part in {"", name} or name.startswith(f"{part}.") for part in lapsed)


def _site_fact(name: str, site: Mapping[str, Any]) -> Any:
    if name in {"seal.min", "seal.score"}:
        levels = site.get("seal") or {}
        if len(levels) < len(SEAL_PER_CENT):
            return None
        score = sum(SEAL_PER_CENT[objective] * level for objective, level in levels.items()) / 100
        return min(levels.values()) if name == "seal.min" else score
    value: Any = site
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _shows(certificate: Mapping[str, Any], asked: Mapping[str, Any], at: datetime) -> str:
    """Whether one certificate of the right scheme is good enough; one whose end is unknown is not known to be."""
    answers = [_said(_in_force(certificate, at))]
    if certificate.get("valid_until") is None:
        answers.append(UNKNOWN)
    if "version_at_least" in asked:
        answers.append(_at_least(_numbers(certificate.get("version")), _numbers(asked["version_at_least"])))
    if "type_at_least" in asked:
        answers.append(_at_least(certificate.get("type"), asked["type_at_least"]))
    if "level_at_least" in asked:
        order = LEVELS.get(asked["scheme"], ())
        level, wanted = certificate.get("level"), asked["level_at_least"]
        known = level in order and wanted in order
        answers.append(_said(order.index(level) >= order.index(wanted)) if known else UNKNOWN)
    return _and(answers)


def _numbers(version: object) -> list[int] | None:
    parts = str(version).split(".")
    return [int(part) for part in parts] if all(part.isascii() and part.isdecimal() for part in parts) else None


def _at_least(seen: Any, asked: Any) -> str:
    return UNKNOWN if seen is None or asked is None else _said(seen >= asked)


_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda seen, operand: bool(seen == operand),
    "ge": lambda seen, operand: bool(seen >= operand),
    "le": lambda seen, operand: bool(seen <= operand),
    "at_least": lambda seen, operand: bool(seen >= operand),
    "at_most": lambda seen, operand: bool(seen <= operand),
}


def _said(truth: bool) -> str:
    return YES if truth else NO


def _and(answers: Iterator[str] | list[str]) -> str:
    found = set(answers)
    return NO if NO in found else UNKNOWN if UNKNOWN in found else YES


def _or(answers: Iterator[str] | list[str]) -> str:
    found = set(answers)
    return YES if YES in found else UNKNOWN if UNKNOWN in found else NO


def _in_force(entry: Mapping[str, Any], at: datetime) -> bool:
    begins, ends = entry.get("valid_from"), entry.get("valid_until")
    return (begins is None or _instant(begins) <= at) and (ends is None or at < _instant(ends))


def _approved(exception: Mapping[str, Any]) -> datetime:
    """When the last of at least two people approved, or later where it says so; never, where they are not two."""
    approvals = exception["approved_by"]
    if len({str(approval["name"]).strip().casefold() for approval in approvals}) < 2:
        return _instant("9999-12-31")
    begins = [exception["valid_from"]] if exception.get("valid_from") else []
    return max(_instant(text) for text in [*(approval["on"] for approval in approvals), *begins])


def _instant(text: str) -> datetime:
    return parse_instant(f"{text}T00:00:00Z" if len(text.strip()) == len("2026-11-22") else text)


def _instants(written: Any) -> Iterator[datetime]:
    """Every instant anywhere in plain data at which something begins or ends."""
    if isinstance(written, dict):
        for key, value in written.items():
            if key in _DATES and isinstance(value, str):
                yield _instant(value)
            else:
                yield from _instants(value)
    elif isinstance(written, list):
        for value in written:
            yield from _instants(value)
