"""A second reader of the rules, for the moment before a job is handed over: it trusts no verdict of the first.

It starts from the text of the files and from plain facts, and shares with the first reader nothing but the reading of
YAML. It is slow and simple: no table, no classes of jobs, one comparison after the other at every instant at
which anything can change. What it cannot read, it objects to.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from csched.clock import format_instant
from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.formats.yaml_document import load_documents
from csched_policies.second_look_answers import (
    CLASSES,
    COMPARE,
    NO,
    ORDERED,
    UNKNOWN,
    VOID,
    YES,
    all_of,
    any_of,
    approved,
    in_force,
    instant,
    instants,
    said,
    shows,
)
from csched_policies.second_look_facts import PRESUMED, SAME, ends_of, is_lapsed, own_demands, site_fact
from csched_policies.second_look_way import Way, touches


@dataclass(frozen=True)
class _Scene:
    """What one comparison may look at."""

    job: Mapping[str, Any]
    site: Mapping[str, Any]
    at: datetime
    way: Way
    start: datetime
    """When the job is begun; hours of the day are compared with it and with nothing later."""
    lapsed: frozenset[str] = frozenset()
    """Parts of the site that nobody vouches for any more; an empty one is the whole site."""
    lapsed_in_fleet: frozenset[str] = frozenset()
    """Paths of the whole fleet file likewise."""


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
        self._turns = sorted({instant for part in dated for instant in instants(part)})

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
        plain = fleet.model_dump(mode="json")
        place, ends = plain["sites"][index], ends_of(fleet, f"sites[{index}]")
        of_fleet = [(path, told.valid_until) for path, told in fleet.evidence.items() if told.valid_until is not None]
        turns = {*self._turns, *instants(place), *(end for _, end in of_fleet)}
        ways = [(told, Way(told, place, plain)) for told in self._inputs(job.model_dump(mode="json"))]
        found: dict[str, None] = {}
        for at in (start, *sorted(turn for turn in turns if start < turn < end)):
            lapsed = frozenset(path for path, end in ends if end <= at)
            in_fleet = frozenset(path for path, end in of_fleet if end <= at)
            for told, way in ways:
                for objection in self._at(_Scene(told, place, at, way, start, lapsed, in_fleet)):
                    found.setdefault(objection)
        return tuple(found)

    def shares(
        self, owners: Sequence[str | None], fleet: Fleet, usage: Sequence[tuple[str, str, float]], at: datetime
    ) -> list[tuple[str, str, tuple[str, ...], float, float, float]]:
        """(rule, tenant, sites outside, share, hours used there, hours in all) of every share that binds a tenant.

        `usage`: tenant, site and hours of this month.
        """
        found = []
        plain = fleet.model_dump(mode="json")
        for rule in sorted(self._rules, key=lambda each: str(each["id"])):
            asked = rule["require"].get("tenant.gpu_hours")
            if asked is None or not _is_applied(rule):
                continue
            for tenant in sorted({owner for owner in owners if owner is not None}):
                scenes = [_Scene({"tenant": tenant}, site, at, Way({}, site, plain), at) for site in plain["sites"]]
                when = (rule.get("when") or {}).items()
                if any(self._meant(path, test, scenes[0]) != YES for path, test in when):
                    continue
                outside = [
                    scene.site["id"]
                    for scene in scenes
                    if scene.site.get("country") is None
                    or self._among(scene.site["country"], asked["outside"], scene, wanted=True) != YES
                ]
                inside = {site["id"] for site in plain["sites"]} - set(outside)
                own = [(site, hours) for owner, site, hours in usage if owner == tenant]
                spent = sum(hours for site, hours in own if site not in inside)
                total = sum(hours for _, hours in own)
                found.append((rule["id"], tenant, tuple(outside), asked["at_most_pct"] / 100, spent, total))
        return found

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
                "data_site": known.get("home_site") or told["data_site"],
                "data_gb": told["data_gb"] if known.get("size_gb") is None else known["size_gb"],
                "data_replicas": known.get("replicas"),
                "data_egress": known.get("egress"),
                "data_egress_hours": known.get("egress_hours"),
                "data_class": CLASSES[max(ranks)] if known.get("class") else None,
                "data_law": [laws] if isinstance(laws, str) else laws,
            }
            marks = {known.get("restricted"), told["data_restricted"]} - {None}
            for mark in marks or {None}:
                yield {**told, **of_data, "data_restricted": mark}

    def _at(self, scene: _Scene) -> Iterator[str]:
        for asker, path, test in own_demands(scene.job):
            if self._answer(path, test, scene) not in {YES, VOID}:
                yield f"{asker} is not given {path} at {format_instant(scene.at)}"
        for rule in self._rules:
            if not _is_applied(rule):
                continue
            failing = self._failing(rule, scene)
            if failing and not self._excepted(rule, scene):
                yield f"rule {rule['id']} is not met at {format_instant(scene.at)}: {', '.join(failing)}"

    def _failing(self, rule: Mapping[str, Any], scene: _Scene) -> list[str]:
        """Paths of the clauses that are not surely met."""
        answers = {path: self._meant(path, test, scene) for path, test in (rule.get("when") or {}).items()}
        if VOID in answers.values():
            return []
        unknown = [path for path, answer in answers.items() if answer == UNKNOWN]
        if unknown:
            return unknown
        if NO in answers.values():
            return []
        return [path for path, test in rule["require"].items() if self._answer(path, test, scene) not in {YES, VOID}]

    def _meant(self, path: str, test: Mapping[str, Any], scene: _Scene) -> str:
        """Whether the job is one that a line of `when` means; not known as soon as one thing that it reads is not."""
        items = [item for operand in test.values() if isinstance(operand, list) for item in operand]
        named = {item[1:] for item in items if item in {"@tenant.country", "@tenant.contract_locations"}}
        named |= {"data.law" for item in items if item.endswith("(data.law)")}
        answer = self._answer(path, test, scene)
        return UNKNOWN if answer != VOID and any(not self._fact(name, scene) for name in named) else answer

    def _excepted(self, rule: Mapping[str, Any], scene: _Scene) -> bool:
        return rule["enforce"] == "overridable" and any(
            each["rule"]["id"] == rule["id"]
            and each["rule"]["version"] == rule["version"]
            and scene.site["id"] in each["sites"]
            and approved(each) <= scene.at < instant(each["expires"])
            and all(self._answer(path, test, scene) == YES for path, test in each["whom"].items())
            for each in self._exceptions
        )

    def _answer(self, path: str, test: Mapping[str, Any], scene: _Scene) -> str:
        if path.startswith("transfer.") and scene.way.moves is False:
            return VOID
        seen = self._fact(path, scene)
        if seen is None:
            return UNKNOWN
        if path == "tenant.gpu_hours":
            return YES  # a share is one of all the tenant's jobs, and no single one breaks it
        if "tz" in test:
            return said(_open(path, test, float(seen), scene.start))
        return all_of(self._compare(path, operator, seen, operand, scene) for operator, operand in test.items())

    def _compare(self, path: str, operator: str, seen: Any, operand: Any, scene: _Scene) -> str:
        if operator in {"in", "not_in", "subset", "disjoint"}:
            wanted = operator in {"in", "subset"}
            values = seen if isinstance(seen, list) else [seen]
            return all_of(self._among(value, operand, scene, wanted=wanted) for value in values)
        if operator == "has":
            return any_of(shows(each, operand, scene.at) for each in seen if each["scheme"] == operand["scheme"])
        if path in ORDERED and operator in {"at_least", "at_most"}:
            seen, operand = ORDERED[path].index(seen), ORDERED[path].index(operand)
        compare = COMPARE.get(operator)
        return UNKNOWN if compare is None else said(compare(seen, operand))

    def _among(self, value: str, operand: Sequence[str], scene: _Scene, *, wanted: bool) -> str:
        """Whether a value is (or, not `wanted`, is not) among the operand."""
        inside = any_of(self._is(value, item, scene, doubtful=not wanted) for item in operand)
        return inside if wanted else {YES: NO, NO: YES, UNKNOWN: UNKNOWN}[inside]

    def _is(self, value: str, item: str, scene: _Scene, *, doubtful: bool) -> str:
        """`doubtful`: whether a member counts whose condition nobody knows to hold."""
        if not item.startswith("@"):
            return said(value == item)
        name = item[1:]
        if name in {"tenant.country", "tenant.contract_locations"}:
            meant = self._fact(name, scene)
            return UNKNOWN if meant is None else said(value in meant if isinstance(meant, list) else value == meant)
        if name.endswith("(data.law)"):
            family, laws = name.removesuffix("(data.law)"), self._fact("data.law", scene)
            if not laws:
                return UNKNOWN
            return all_of(self._member(value, f"{family}({law})", scene, doubtful=doubtful) for law in laws)
        return self._member(value, name, scene, doubtful=doubtful)

    def _member(self, country: str, group: str, scene: _Scene, *, doubtful: bool) -> str:
        if group not in self._groups:
            return UNKNOWN
        covered = self._fact("site.operator.adequacy", scene)
        for listed in self._groups[group]:
            member = {"country": listed} if isinstance(listed, str) else listed
            if member["country"] != country or not in_force(member, scene.at):
                continue
            condition = member.get("condition")
            if condition is None or condition in (covered or ()) or (doubtful and covered is None):
                return YES
        return NO

    def _fact(self, path: str, scene: _Scene) -> Any:
        """What is known under a path; None is unknown."""
        path = SAME.get(path, path)
        room, _, name = path.partition(".")
        if path == "job.start":
            return 0.0
        if room in {"transfer", "path"}:
            return scene.way.fact(path, scene.lapsed_in_fleet)
        if room == "site":
            return None if is_lapsed(name, scene.lapsed) else site_fact(name, scene.site)
        if path in {"tenant.id", "tenant.gpu_hours"}:
            return scene.job["tenant"]
        if room == "tenant" or (path == "data.law" and not scene.job.get("data_law")):
            value = (self._tenants.get(scene.job["tenant"]) or {}).get(name)
            return [value] if name == "law" and isinstance(value, str) else value
        value = scene.job.get(name.replace(".", "_") if room == "job" else f"{room}_{name}")
        return PRESUMED.get(path) if value is None or value == [] else value


def _is_applied(rule: Mapping[str, Any]) -> bool:
    return bool(rule["mode"] == "enforce" and rule["enforce"] != "advisory")


def _open(path: str, test: Mapping[str, Any], lasts_s: float, start: datetime) -> bool:
    """Whether what begins `lasts_s` before the start keeps out of the hours that are closed."""
    closed = list(test["not_between"]) if "not_between" in test else list(reversed(test["between"]))
    begins = start - timedelta(seconds=lasts_s)
    lasts = timedelta(seconds=lasts_s) if path == "transfer.hours" else timedelta(0)
    return not touches(closed, test["tz"], begins, lasts)
