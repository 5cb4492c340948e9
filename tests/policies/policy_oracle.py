"""The contract's rules for policies once more, as plainly as they can be written, on plain dictionaries.

No line is shared with csched_policies: no clause objects, no table, no precomputed instants. Time is walked through in
days, which is exact because every date in these tests is a day.
"""

from datetime import datetime, timedelta
from operator import eq, ge, le
from typing import NamedTuple
from zoneinfo import ZoneInfo

DATA_CLASSES = ["public", "internal", "personal", "special", "health"]
LEVELS = {"ens": ["basica", "media", "alta"], "eucs": ["basic", "substantial", "high"]}
TENANT_FACTS = {"tenant.country": "country", "tenant.sector": "sector", "tenant.law": "law", "data.law": "law"}
ORDERED = {
    "data.class": DATA_CLASSES,
    "outputs.export": ["none", "EU27", "EEA", "any"],
    "job.requires.confidential": ["none", "cpu", "gpu"],
    "job.requires.tenancy": ["shared", "exclusive_node", "exclusive_partition"],
}
LABELS = {
    "data.class": "data_class",
    "data.home_site": "data_site",
    "job.outputs.kind": "outputs_kind",
    **{f"outputs.{name}": f"outputs_{name}" for name in ("return_to", "export", "inherit_class")},
    **{f"job.requires.{name}": f"requires_{name}" for name in ("confidential", "tenancy", "min_seal", "min_ual")},
    "tenant.id": "tenant",
    "job.gpus": "gpus",
    "data.gb": "data_gb",
    "job.portable": "portable",
}
SIMPLE = {"eq": eq, "ge": ge, "le": le, "at_least": ge, "at_most": le}


DEFAULTS = {
    "outputs.inherit_class": True,
    "job.requires.confidential": "none",
    "job.requires.tenancy": "shared",
    "job.requires.min_seal": 0,
    "job.requires.min_ual": 0,
}
CLOCKS = {"transfer.start", "transfer.hours", "job.start"}


class Scene(NamedTuple):
    job: dict
    site: dict
    at: datetime


class Oracle:
    """`groups`: name -> list of members as written; `tenants`: as in facts/tenants.yaml."""

    def __init__(self, groups, tenants, exceptions=(), places=(), links=(), *, datasets=None):
        """`places`: every site of the fleet, as dictionaries that have an `id`; `datasets`: facts/datasets.yaml."""
        self.datasets = datasets or {}
        self.groups = groups
        self.tenants = tenants
        self.exceptions = exceptions
        self.places = {place["id"]: place for place in places}
        self.links = {frozenset(link["between"]): link for link in links}

    def failing(self, rule, job, site, at):
        """Clauses (path -> "deny" or "unknown") of one rule that this site does not meet for this job at `at`."""
        scene = Scene(job, site, at)
        still = self.moves(scene) is False
        if still and any(path.startswith("transfer.") for path in rule.get("when", {})):
            return {}
        when = {path: self.compare(path, test, scene) for path, test in rule.get("when", {}).items()}
        unknown = {
            path: "unknown"
            for path, test in rule.get("when", {}).items()
            if when[path] is None or any(self.fact(name, scene) is None for name in (path, *names_in(test)))
        }
        if unknown:
            return unknown
        if not all(when.values()):
            return {}
        asked = {path: test for path, test in rule["require"].items() if not (still and path.startswith("transfer."))}
        answers = {path: self.compare(path, test, scene) for path, test in asked.items()}
        return {path: "unknown" if answer is None else "deny" for path, answer in answers.items() if not answer}

    def inputs(self, job):
        """The job once for each dataset that it reads, as if it read nothing else."""
        for name in job.get("datasets") or ():
            known = self.datasets.get(name, {})
            stated, own = known.get("class"), job.get("data_class")
            yield {
                **job,
                "datasets": (),
                "dataset": name,
                "data_class": max(filter(None, (stated, own)), key=DATA_CLASSES.index) if stated else None,
                "data_law": known.get("law"),
                "data_site": known.get("home_site") or job.get("data_site"),
                "data_gb": known.get("size_gb", job.get("data_gb")),
                "data_replicas": known.get("replicas", ()),
                "data_egress": known.get("egress"),
            }
        if not job.get("datasets"):
            yield job

    def demands(self, job):
        """(path, comparison) of what the job, and the dataset that it reads, ask for themselves."""
        if job.get("data_egress") == "forbidden":
            yield "site.id", {"in": [*([job["data_site"]] if job["data_site"] else []), *job["data_replicas"]]}
        wants = job.get("requires_confidential")
        if wants in {"cpu", "gpu"}:
            yield "site.confidential.cpu_tee", {"in": ["sev-snp", "tdx"]}
        if wants == "gpu":
            yield "site.confidential.gpu_cc", {"in": ["on", "ppcie"]}
            yield "site.confidential.attested", {"eq": True}
        alone = {"exclusive_node": ["exclusive_node"], "exclusive_partition": []}.get(job.get("requires_tenancy"))
        if alone is not None:
            yield "site.tenancy", {"in": [*alone, "exclusive_partition"]}
        if job.get("requires_min_seal"):
            yield from ((f"site.seal.sov-{number}", {"ge": job["requires_min_seal"]}) for number in range(1, 9))
        if job.get("requires_min_ual"):
            yield "site.ual", {"ge": job["requires_min_ual"]}

    def timed(self, rule, job, site, at):
        """Clauses (paths) by which the rule closes some hours of the day to this job at this site."""
        scene = Scene(job, site, at)
        when = rule.get("when", {})
        if self.moves(scene) is False and any(path.startswith("transfer.") for path in when):
            return set()
        for path, test in when.items():
            if not self.compare(path, test, scene) or None in {self.fact(name, scene) for name in names_in(test)}:
                return set()
        return {path for path in rule["require"].keys() & CLOCKS if self.fact(path, scene) is not None}

    def closed(self, rule, job, site, start):
        """Whether a start at that instant falls into hours that the rule closes."""
        scene = Scene(job, site, start)
        for path in self.timed(rule, job, site, start):
            test = rule["require"][path]
            lead = timedelta(0) if path == "job.start" else timedelta(seconds=self.way(scene)["lasts_s"] or 0)
            minutes = [start - lead]
            while path == "transfer.hours" and minutes[-1] + timedelta(minutes=1) < start:
                minutes.append(minutes[-1] + timedelta(minutes=1))
            if path == "transfer.hours":  # a clock turns at whole minutes, a transfer begins at any second
                whole = [each.replace(second=0, microsecond=0) + timedelta(minutes=1) for each in minutes]
                minutes += [each for each in whole if each < start]
            if not all(is_open(test, minute) for minute in minutes):
                return True
        return False

    def allows_until(self, rules, job, site, now, end):
        """Whether a job may start at `now`, and every applied rule then holds on each day of [now, end)."""
        alone = list(self.inputs(job))
        if alone != [job]:
            return all(self.allows_until(rules, each, site, now, end) for each in alone)
        if any(not self.compare(path, test, Scene(job, site, now)) for path, test in self.demands(job)):
            return False
        shut = [rule for rule in rules if applied(rule) and self.closed(rule, job, site, now)]
        if any(not self.excused(rule, job, site, now) for rule in shut):
            return False
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

    def moves(self, scene):
        home = scene.job.get("data_site")
        here = scene.site.get("id", "s0")
        if not scene.job.get("data_gb") or home == here or here in scene.job.get("data_replicas", ()):
            return False
        return None if home is None else True

    def way(self, scene):
        """What is known of a transfer that takes place."""
        home, size = scene.job["data_site"], scene.job["data_gb"]
        link = self.links.get(frozenset({home, scene.site.get("id", "s0")}), {})
        lasts = size * 8 / link["gbit_per_s"] if link else None
        per_gb = link.get("eur_per_gb")
        return {
            "lasts_s": lasts,
            "transfer.size_gb": size,
            "transfer.from_country": self.places.get(home, {}).get("country"),
            "transfer.duration_h": None if lasts is None else lasts / 3600,
            "transfer.encrypted": link.get("encrypted"),
            "transfer.cost_eur": None if per_gb is None else per_gb * size,
            "transfer.start": lasts,
            "transfer.hours": lasts,
        }

    def path(self, scene):
        here, back = scene.site.get("id", "s0"), scene.job.get("outputs_return_to")
        country = scene.site.get("country")
        if self.moves(scene) is None or back is None or country is None:
            return None
        ends = [scene.job["data_site"]] if self.moves(scene) else []
        if back != country:
            near = [name for name in self.places if frozenset({name, here}) in self.links and name != here]
            returning = [name for name in near if self.places[name].get("country") == back]
            if not returning:
                return None
            ends += returning
        found = {country}
        for end in ends:
            link = self.links.get(frozenset({end, here}))
            if link is None or link["countries"] is None or self.places.get(end, {}).get("country") is None:
                return None
            found |= {self.places[end]["country"], *link["countries"]}
        return sorted(found)

    def fact(self, path, scene):  # noqa: PLR0911  (one way out for each room of the vocabulary)
        if path == "job.start":
            return 0
        if path == "path.countries":
            return self.path(scene)
        if path.startswith("transfer."):
            return self.way(scene)[path] if self.moves(scene) else None
        if path == "tenant.gpu_hours":
            return scene.job.get("tenant")
        if path == "data.law" and scene.job.get("data_law"):
            return [scene.job["data_law"]]
        if path in TENANT_FACTS:
            value = self.tenants.get(scene.job.get("tenant"), {}).get(TENANT_FACTS[path])
            return [value] if TENANT_FACTS[path] == "law" and isinstance(value, str) else value
        if path in LABELS:
            stated = scene.job.get(LABELS[path])
            return DEFAULTS.get(path) if stated is None else stated
        if path == "site.seal.min":
            seal = scene.site.get("seal") or {}
            return min(seal.values()) if len(seal) == 8 else None
        value = scene.site
        for step in path.split(".")[1:]:
            value = (value or {}).get(step)
        return value

    def compare(self, path, test, scene):
        if path in CLOCKS or path == "tenant.gpu_hours":
            return None if self.fact(path, scene) is None else True
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
            return SIMPLE[operator](*(map(ORDERED[path].index, (seen, operand)) if ranked else (seen, operand)))
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


def is_open(test, at):
    """Whether a clock of the zone shows a time at which the test lets things happen."""
    first, last = test.get("not_between") or reversed(test["between"])
    clock = f"{at.astimezone(ZoneInfo(test['tz'])):%H:%M}"
    return not (first <= clock < last or (last < first and (clock >= first or clock < last)))


def names_in(test):
    """Facts that a comparison reads besides the one it compares."""
    items = [item for operand in test.values() if isinstance(operand, list) for item in operand]
    if "@tenant.country" in items:
        yield "tenant.country"
    if any(item.endswith("(data.law)") for item in items):
        yield "data.law"


def applied(rule):
    return rule["mode"] == "enforce" and rule["enforce"] != "advisory"


def in_force(entry, at):
    begins, ends = entry.get("valid_from"), entry.get("valid_until")
    return (begins is None or day(begins) <= at) and (ends is None or at < day(ends))


def day(text):
    return datetime.fromisoformat(f"{text}T00:00:00+00:00")
