"""Rules as Cedar policies, so that an engine of other people's making judges the same cases.

Every answer that a clause can give against a site is one `forbid`, whose @id names rule, clause and answer. Cedar knows
two truth values and no loops: a clause becomes two expressions, surely met and surely not met, and a set is spelled out
over the countries at hand, which the closed enumerations of the schema allow. What is unknown is an absent attribute.
No line is shared with csched_policies. No other native policy engine may be loaded into the same process: two crash it.
"""

import json
from functools import reduce
from typing import NamedTuple

import cedarpy
from policy_oracle import names_in

CERTIFICATES = 3
SCALE = 1000
"""Cedar counts in integers: every number is written in thousandths."""
SEAL = [f"site.seal.sov-{number}" for number in range(1, 9)]
ENUMS = {
    "DataClass": ["public", "internal", "personal", "special", "health"],
    "Sector": ["research", "public", "health", "finance", "industry", "defence"],
    "Law": ["GDPR", "FADP", "UKGDPR"],
    "Adequacy": ["dpf-eu-us", "dpf-swiss-us", "uk-us-bridge", "pipeda", "appi", "pipa-kr"],
    "Scheme": ["hds", "secnumcloud", "bsi-c5", "ens", "eucs", "iso27001"],
    "Keys": ["provider", "customer_byok", "customer_hyok"],
    "Export": ["none", "EU27", "EEA", "any"],
    "Confidentiality": ["none", "cpu", "gpu"],
    "Tenancy": ["shared", "exclusive_node", "exclusive_partition"],
    "OutputKind": ["results", "model_weights", "rl_deltas", "dataset"],
    "Encryption": ["none", "tls", "ipsec", "macsec"],
    "CpuTee": ["none", "sev-snp", "tdx"],
    "GpuMode": ["off", "on", "ppcie"],
    "Place": ["s0", "s1", "s2"],
}
LEVELS = {"ens": ["basica", "media", "alta"], "eucs": ["basic", "substantial", "high"]}
TYPES = {
    "site.country": "Country",
    "site.operator.compellable_by": "Set<Country>",
    "site.operator.adequacy": "Set<Adequacy>",
    "site.storage_countries": "Set<Country>",
    "site.support.countries": "Set<Country>",
    "site.ual": "Long",
    "site.spe": "Bool",
    "site.keys": "Keys",
    "site.tenancy": "Tenancy",
    "site.confidential.cpu_tee": "CpuTee",
    "site.confidential.gpu_cc": "GpuMode",
    "site.confidential.attested": "Bool",
    **dict.fromkeys(SEAL, "Long"),
    "data.class": "DataClass",
    "data.law": "Set<Law>",
    "data.gb": "Long",
    "tenant.id": "Tenant",
    "tenant.country": "Country",
    "tenant.sector": "Sector",
    "job.gpus": "Long",
    "job.portable": "Bool",
    "data.home_site": "Place",
    "job.outputs.kind": "OutputKind",
    "outputs.return_to": "Country",
    "outputs.export": "Export",
    "outputs.inherit_class": "Bool",
    "job.requires.confidential": "Confidentiality",
    "job.requires.tenancy": "Tenancy",
    "job.requires.min_seal": "Long",
    "job.requires.min_ual": "Long",
    "transfer.moves": "Bool",
    "transfer.size_gb": "Long",
    "transfer.from_country": "Country",
    "transfer.duration_h": "Long",
    "transfer.encrypted": "Encryption",
    "transfer.cost_eur": "Long",
    "path.countries": "Set<Country>",
}
HOURS = {"transfer.start": "transfer.duration_h", "transfer.hours": "transfer.duration_h", "job.start": None}
"""Clauses about the time of day, which Cedar cannot tell in a zone: only whether the time is known, by this fact."""
STILL = "context has transfer_moves && !context.transfer_moves"
CERTIFICATE = (
    "{scheme: Scheme, valid_from?: datetime, valid_until?: datetime, version?: Long, type?: Long, level?: Long}"
)
SYMBOLS = {"eq": "==", "ge": ">=", "le": "<="}
YES, NO = "true", "false"


class Answer(NamedTuple):
    """Where a clause is surely met and where surely not; unknown is neither."""

    met: str
    unmet: str


def every(*parts):
    kept = [part for part in parts if part != YES]
    return NO if NO in kept else " && ".join(f"({part})" for part in kept) or YES


def some(*parts):
    kept = [part for part in parts if part != NO]
    return YES if YES in kept else " || ".join(f"({part})" for part in kept) or NO


def both(answers):
    """All must hold; one that surely fails decides."""
    answers = list(answers)
    return Answer(every(*(a.met for a in answers)), some(*(a.unmet for a in answers)))


def either(answers):
    answers = list(answers)
    return Answer(some(*(a.met for a in answers)), every(*(a.unmet for a in answers)))


def owner(path):
    if path.startswith(("transfer.", "path.")):
        return "context"
    return "resource" if path.startswith("site.") else "principal"


def name(path):
    return path.replace(".", "_").replace("-", "_")


def known(path):
    return f"{owner(path)} has {name(path)}"


def value(path):
    return f"{owner(path)}.{name(path)}"


def entity(kind, word):
    return f'{kind}::"{word}"'


def written(path, operand):
    kind = TYPES[path]
    if kind == "Bool":
        return str(operand).lower()
    return str(round(operand * SCALE)) if kind == "Long" else entity(kind, operand)


class Translation:
    """Cedar text for rules as plain data, over closed lists of countries and tenants."""

    def __init__(self, groups, countries, tenants):
        self.groups = groups
        self.countries = countries
        self.enums = {**ENUMS, "Country": countries, "Tenant": tenants}

    def schema(self):
        enums = [f"entity {kind} enum {json.dumps(words)};" for kind, words in self.enums.items()]
        facts = {"resource": ["certs_known: Bool"], "principal": [], "context": ["now: datetime"]}
        facts["resource"] += [f"cert{number}?: {CERTIFICATE}" for number in range(CERTIFICATES)]
        for path, kind in TYPES.items():
            facts[owner(path)].append(f"{name(path)}?: {kind}")
        return "\n".join(
            [
                *enums,
                f"entity Job {{{', '.join(facts['principal'])}}};",
                f"entity Site {{{', '.join(facts['resource'])}}};",
                "action run, remark appliesTo {principal: Job, resource: Site, context: Circumstances};",
                f"type Circumstances = {{{', '.join(facts['context'])}}};",
            ]
        )

    def policies(self, rules):
        texts = ["permit(principal, action, resource);", *demands()]
        for rule in rules:
            action = "run" if rule["mode"] == "enforce" and rule["enforce"] != "advisory" else "remark"
            when = {path: self.meaning(path, test) for path, test in rule.get("when", {}).items()}
            of_transfer = any(path.startswith("transfer.") for path in when)
            moved = f"!({STILL})" if of_transfer else YES
            for path, answer in when.items():
                unknown = every(moved, f"!({answer.met})", f"!({answer.unmet})")
                texts.append(forbid(action, (rule["id"], path, "unknown"), unknown))
            for path, test in rule["require"].items():
                moved = f"!({STILL})" if of_transfer or path.startswith("transfer.") else YES
                binds = every(moved, *(answer.met for answer in when.values()))
                for answer in self.clauses(path, test):
                    unknown = every(binds, f"!({answer.met})", f"!({answer.unmet})")
                    texts.append(forbid(action, (rule["id"], path, "deny"), every(binds, answer.unmet)))
                    texts.append(forbid(action, (rule["id"], path, "unknown"), unknown))
        return "\n".join(texts)

    def meaning(self, path, test):
        """A line of `when`: nothing is sure of it before all that it reads is known."""
        answer = both(self.clauses(path, test))
        all_known = [known(name) for name in names_in(test)]
        return Answer(every(*all_known, answer.met), every(*all_known, answer.unmet))

    def clauses(self, path, test):
        if path in HOURS:
            return [Answer(known(HOURS[path]) if HOURS[path] else YES, NO)]
        return [self.clause(path, operator, operand) for operator, operand in test.items()]

    def clause(self, path, operator, operand):
        if operator == "has":
            return has(operand)
        if path == "site.seal.min":
            return seal_min(operator, operand)
        answer = self.comparison(path, operator, operand)
        return Answer(every(known(path), answer.met), every(known(path), answer.unmet))

    def comparison(self, path, operator, operand):
        seen = value(path)
        if operator in {"in", "not_in", "subset", "disjoint"}:
            return self.membership(path, operator, operand)
        if operator in {"at_least", "at_most"}:
            words = ENUMS[TYPES[path]]
            rank = words.index(operand)
            good = words[rank:] if operator == "at_least" else words[: rank + 1]
            met = some(*(f"{seen} == {written(path, word)}" for word in good))
        else:
            met = f"{seen} {SYMBOLS[operator]} {written(path, operand)}"
        return Answer(met, f"!({met})")

    def membership(self, path, operator, operand):
        """Each possible word of the fact in turn: whether it is seen, and whether it is meant."""
        kind, negative = TYPES[path].removeprefix("Set<").removesuffix(">"), operator in {"not_in", "disjoint"}
        answers = []
        for word in self.enums[kind]:
            literal = entity(kind, word)
            seen = f"{value(path)}.contains({literal})" if "Set<" in TYPES[path] else f"{value(path)} == {literal}"
            meant = either(self.meant(word, item, negative) for item in operand)
            met, unmet = (meant.unmet, meant.met) if negative else meant
            answers.append(Answer(some(f"!({seen})", met), every(seen, unmet)))
        return both(answers)

    def meant(self, word, item, negative):
        if not item.startswith("@"):
            return Answer(YES, NO) if item == word else Answer(NO, YES)
        if item == "@tenant.country":
            same = f"{value(item[1:])} == {entity('Country', word)}"
            return Answer(every(known(item[1:]), same), every(known(item[1:]), f"!({same})"))
        if not item.endswith("(data.law)"):
            inside = self.inside(word, item[1:], negative)
            return Answer(inside, f"!({inside})")
        per_law = []
        for law in ENUMS["Law"]:
            under = f"{value('data.law')}.contains({entity('Law', law)})"
            inside = self.inside(word, item[1:].replace("data.law", law), negative)
            per_law.append(Answer(some(f"!({under})", inside), every(under, f"!({inside})")))
        answer = both(per_law)
        return Answer(every(known("data.law"), answer.met), every(known("data.law"), answer.unmet))

    def inside(self, country, group, negative):
        """A condition that is not known to be met keeps a country out of `in`, and in for `not_in`."""
        covered = "site.operator.adequacy"
        found = []
        for listed in self.groups[group]:
            member = {"country": listed} if isinstance(listed, str) else listed
            if member["country"] != country:
                continue
            parts = in_force(member, "context.now")
            if member.get("condition"):
                shown = f"{value(covered)}.contains({entity('Adequacy', member['condition'])})"
                guarded = every(known(covered), shown)
                parts.append(some(f"!({known(covered)})", guarded) if negative else guarded)
            found.append(every(*parts))
        return some(*found)


def demands():
    """What a job asks for itself, as policies of a rule called `job.requires`."""
    wants = value("job.requires.confidential")
    either_of = some(*(f"{wants} == {entity('Confidentiality', word)}" for word in ("cpu", "gpu")))
    of_gpu = f"{wants} == {entity('Confidentiality', 'gpu')}"
    asked = [
        (either_of, "site.confidential.cpu_tee", _one_of("site.confidential.cpu_tee", ["sev-snp", "tdx"])),
        (of_gpu, "site.confidential.gpu_cc", _one_of("site.confidential.gpu_cc", ["on", "ppcie"])),
        (of_gpu, "site.confidential.attested", value("site.confidential.attested")),
    ]
    for rank_of, word in enumerate(ENUMS["Tenancy"][1:], start=1):
        wanted = f"{value('job.requires.tenancy')} == {entity('Tenancy', word)}"
        asked.append((wanted, "site.tenancy", _one_of("site.tenancy", ENUMS["Tenancy"][rank_of:])))
    for path, least in [*((path, "job.requires.min_seal") for path in SEAL), ("site.ual", "job.requires.min_ual")]:
        asked.append((f"{value(least)} > 0", path, f"{value(path)} >= {value(least)}"))
    for binds, path, met in asked:
        yield forbid("run", ("job.requires", path, "deny"), every(_wants_known(), binds, known(path), f"!({met})"))
        yield forbid("run", ("job.requires", path, "unknown"), every(_wants_known(), binds, f"!({known(path)})"))


def _wants_known():
    """Always so; Cedar's validator asks for it."""
    names = ("confidential", "tenancy", "min_seal", "min_ual")
    return every(*(known(f"job.requires.{each}") for each in names))


def _one_of(path, words):
    return some(*(f"{value(path)} == {entity(TYPES[path], word)}" for word in words))


def in_force(entry, now):
    parts = [f'{now} >= datetime("{entry["valid_from"]}")'] if entry.get("valid_from") else []
    return [*parts, f'{now} < datetime("{entry["valid_until"]}")'] if entry.get("valid_until") else parts


def seal_min(operator, level):
    complete = every(*map(known, SEAL))
    asked = round(level * SCALE)
    least = every(*(f"{value(path)} >= {asked}" for path in SEAL))
    above = every(*(f"{value(path)} > {asked}" for path in SEAL))
    met = {"ge": least, "le": f"!({above})", "eq": every(least, f"!({above})")}[operator]
    return Answer(every(complete, met), every(complete, f"!({met})"))


def has(asked):
    """Some certificate of the scheme shows it; none that might."""
    slots = []
    for number in range(CERTIFICATES):
        held = f"resource.cert{number}"
        there = every(f"resource has cert{number}", f"{held}.scheme == {entity('Scheme', asked['scheme'])}")
        shows = both(checks(held, asked))
        slots.append(Answer(every(there, shows.met), some(f"!({there})", every(there, shows.unmet))))
    answer = either(slots)
    return Answer(answer.met, every("resource.certs_known", answer.unmet))


def checks(held, asked):
    begins = f"{held} has valid_from && {held}.valid_from > context.now"
    yield Answer(f"!({begins})", begins)
    ends = f"{held}.valid_until > context.now"
    yield Answer(f"{held} has valid_until && {ends}", f"{held} has valid_until && !({ends})")
    for key, least in asked.items():
        if key.endswith("_at_least"):
            field = key.removesuffix("_at_least")
            enough = f"{held}.{field} >= {rank(asked['scheme'], field, least)}"
            yield Answer(f"{held} has {field} && {enough}", f"{held} has {field} && !({enough})")


def rank(scheme, field, word):
    """Place of a version, type or level in its order; null for a level that the scheme does not have."""
    if field == "level":
        return LEVELS[scheme].index(word) if word in LEVELS.get(scheme, ()) else None
    return reduce(lambda total, part: total * SCALE + int(part), str(word).split("."), 0)


def forbid(action, reason, condition):
    return f'@id("{"|".join(reason)}") forbid(principal, action == Action::"{action}", resource) when {{{condition}}};'


class Engine:
    """One rule set in Cedar; the policies must pass its strict validation against the schema."""

    def __init__(self, rules, groups, countries, tenants):
        translation = Translation(groups, countries, tenants)
        self.schema = translation.schema()
        text = translation.policies(rules)
        validated = cedarpy.validate_policies(text, self.schema)
        assert validated.validation_passed, (validated.errors, text)
        self.policies = cedarpy.PolicySet.from_str(text)
        self.schema = cedarpy.Schema.from_str(self.schema)

    def judge(self, action, cases, jobs, sites, ways):
        """(allowed, {(rule, clause, answer)}) for each case (job index, site index, instant); `ways`: facts of the
        transfer by (job index, site index)."""
        things = [attributes("Job", number, facts, []) for number, facts in enumerate(jobs)]
        things += [attributes("Site", number, facts, certs) for number, (facts, certs) in enumerate(sites)]
        entities = cedarpy.Entities.from_json_str(json.dumps(things), self.schema)
        requests = [
            {
                "principal": {"type": "Job", "id": str(job)},
                "action": {"type": "Action", "id": action},
                "resource": {"type": "Site", "id": str(site)},
                "context": {
                    "now": moment(now.strftime("%Y-%m-%dT%H:%M:%SZ")),
                    **{name(path): plain(TYPES[path], fact) for path, fact in ways[job, site].items()},
                },
            }
            for job, site, now in cases
        ]
        return [
            self._judged(result)
            for result in cedarpy.is_authorized_batch(requests, self.policies, entities, self.schema)
        ]

    @staticmethod
    def _judged(result):
        assert result.diagnostics.errors == []
        named = result.diagnostics.id_annotations_by_reason.values()
        return result.allowed, {tuple(each.split("|")) for each in named}


def attributes(kind, number, facts, certs):
    known_facts = {name(path): plain(TYPES[path], fact) for path, fact in facts.items() if fact is not None}
    if kind == "Site":
        known_facts["certs_known"] = certs is not None
        known_facts |= {f"cert{place}": certificate(each) for place, each in enumerate(certs or ())}
    return {"uid": {"type": kind, "id": str(number)}, "attrs": known_facts, "parents": []}


def plain(kind, fact):
    if kind.startswith("Set<"):
        return [plain(kind[4:-1], each) for each in fact]
    if kind == "Bool":
        return fact
    return round(fact * SCALE) if kind == "Long" else {"__entity": {"type": kind, "id": fact}}


def certificate(held):
    ranks = {
        field: rank(held["scheme"], field, held[field])
        for field in ("version", "type", "level")
        if held.get(field) is not None
    }
    dates = {field: moment(held[field]) for field in ("valid_from", "valid_until") if held.get(field)}
    return {
        "scheme": plain("Scheme", held["scheme"]),
        **{field: place for field, place in ranks.items() if place is not None},
        **dates,
    }


def moment(text):
    return {"__extn": {"fn": "datetime", "arg": str(text)}}
