"""The contract's rules for policies once more, as plainly as they can be written, on plain dictionaries.

No line is shared with csched_policies: no clause objects, no table, no precomputed instants. Time is walked through in
days, which is exact because every date in these tests is a day.
"""

from datetime import datetime, timedelta
from operator import eq, ge, le
from typing import NamedTuple

DATA_CLASSES = ["public", "internal", "personal", "special", "health"]
LEVELS = {"ens": ["basica", "media", "alta"], "eucs": ["basic", "substantial", "high"]}
TENANT_FACTS = {"tenant.country": "country", "tenant.sector": "sector", "tenant.law": "law", "data.law": "law"}
LABELS = {
    "data.class": "data_class",
    "tenant.id": "tenant",
    "job.gpus": "gpus",
    "data.gb": "data_gb",
    "job.portable": "portable",
}
SIMPLE = {"eq": eq, "ge": ge, "le": le, "at_least": ge, "at_most": le}


class Scene(NamedTuple):
    job: dict
    site: dict
    at: datetime


class Oracle:
    """`groups`: name -> list of members as written; `tenants`: as in facts/tenants.yaml."""

    def __init__(self, groups, tenants, exceptions=()):
        self.groups = groups
        self.tenants = tenants
        self.exceptions = exceptions

    def failing(self, rule, job, site, at):
        """Clauses (path -> "deny" or "unknown") of one rule that this site does not meet for this job at `at`."""
        scene = Scene(job, site, at)
        when = {path: self.compare(path, test, scene) for path, test in rule.get("when", {}).items()}
        unknown = {path: "unknown" for path in when if self.fact(path, scene) is None or when[path] is None}
        if unknown:
            return unknown
        if not all(when.values()):
            return {}
        answers = {path: self.compare(path, test, scene) for path, test in rule["require"].items()}
        return {path: "unknown" if answer is None else "deny" for path, answer in answers.items() if not answer}

    def allows_until(self, rules, job, site, now, end):
        """Whether every applied rule holds on each day of [now, end)."""
        day = now
        while day < end or day == now:
            for rule in rules:
                if applied(rule) and self.failing(rule, job, site, day) and not self.excused(rule, job, site, day):
                    return False
            day += timedelta(days=1)
        return True

    def excused(self, rule, job, site, at):
        """Whether somebody may set this rule aside for this job at this site (`site["id"]`) at `at`, and did."""
        return rule["enforce"] == "overridable" and any(
            written["rule"] == {"id": rule["id"], "version": rule["version"]}
            and site["id"] in written["sites"]
            and len({approval["name"].lower() for approval in written["approved_by"]}) > 1
            and max(day(approval["on"]) for approval in written["approved_by"]) <= at < day(written["expires"])
            and all(self.compare(path, test, Scene(job, {}, at)) for path, test in written["whom"].items())
            for written in self.exceptions
        )

    def fact(self, path, scene):
        if path in TENANT_FACTS:
            value = self.tenants.get(scene.job.get("tenant"), {}).get(TENANT_FACTS[path])
            return [value] if TENANT_FACTS[path] == "law" and isinstance(value, str) else value
        if path in LABELS:
            return scene.job.get(LABELS[path])
        if path == "site.seal.min":
            seal = scene.site.get("seal") or {}
            return min(seal.values()) if len(seal) == 8 else None
        value = scene.site
        for step in path.split(".")[1:]:
            value = (value or {}).get(step)
        return value

    def compare(self, path, test, scene):
        answers = [self.one(path, operator, operand, scene) for operator, operand in test.items()]
        if False in answers:
            return False
        return None if None in answers else True

    def one(self, path, operator, operand, scene):
        seen = self.fact(path, scene)
        if seen is None:
            return None
        if operator == "has":
            return self.has(seen, operand, scene.at)
        if operator in SIMPLE:
            ranked = isinstance(operand, str) and operator != "eq"
            return SIMPLE[operator](*(map(DATA_CLASSES.index, (seen, operand)) if ranked else (seen, operand)))
        negative = operator in {"not_in", "disjoint"}
        values = [seen] if isinstance(seen, str) else seen
        answers = [self.member(value, operand, negative, scene) for value in values]
        if negative:
            answers = [None if answer is None else not answer for answer in answers]
        if False in answers:
            return False
        return None if None in answers else True

    def member(self, value, operand, negative, scene):
        """Whether a value is among the operand; a condition that is not known to hold never helps the job."""
        hopeful = []
        for item in operand:
            if not item.startswith("@"):
                hopeful.append(value == item)
            elif item == "@tenant.country":
                country = self.fact("tenant.country", scene)
                hopeful.append(None if country is None else country == value)
            elif item.endswith("(data.law)"):
                laws = self.fact("data.law", scene)
                family = item[1:].partition("(")[0]
                per_law = [self.in_group(value, f"{family}({law})", negative, scene) for law in laws or ()]
                hopeful.append(all(per_law) if laws else None)
            else:
                hopeful.append(self.in_group(value, item[1:], negative, scene))
        if True in hopeful:
            return True
        return None if None in hopeful else False

    def in_group(self, country, name, negative, scene):
        covered = (scene.site.get("operator") or {}).get("adequacy")
        for listed in self.groups[name]:
            member = {"country": listed} if isinstance(listed, str) else listed
            if member["country"] != country or not in_force(member, scene.at):
                continue
            if "condition" not in member or member["condition"] in (covered or ()) or (negative and covered is None):
                return True
        return False

    def has(self, certificates, asked, at):
        answers = []
        for certificate in certificates:
            if certificate["scheme"] != asked["scheme"]:
                continue
            checks = [None if certificate.get("valid_until") is None else True, in_force(certificate, at)]
            if "version_at_least" in asked:
                version = certificate.get("version")
                checks.append(None if version is None else int(version) >= int(asked["version_at_least"]))
            if "type_at_least" in asked:
                kind = certificate.get("type")
                checks.append(None if kind is None else kind >= asked["type_at_least"])
            if "level_at_least" in asked:
                order, level = LEVELS[asked["scheme"]], certificate.get("level")
                known = level in order
                checks.append(order.index(level) >= order.index(asked["level_at_least"]) if known else None)
            answers.append(False if False in checks else None if None in checks else True)
        return True if True in answers else None if None in answers else False


def applied(rule):
    return rule["mode"] == "enforce" and rule["enforce"] != "advisory"


def in_force(entry, at):
    begins, ends = entry.get("valid_from"), entry.get("valid_until")
    return (begins is None or day(begins) <= at) and (ends is None or at < day(ends))


def day(text):
    return datetime.fromisoformat(f"{text}T00:00:00+00:00")
