"""Policies from a folder: rules anywhere in it, groups/ of countries, facts/tenants.yaml, exceptions/ to rules.

Loading is all or nothing: one mistake anywhere refuses the whole set, with file, line and field.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from csched.domain.site import Fleet
from csched.errors import InputError, Where
from csched.formats.files import read_text
from csched.formats.validation import did_you_mean
from csched.formats.yaml_document import Document, load_documents
from csched.shipped import policy_groups
from csched_policies.cases import check_cases
from csched_policies.clause import Clause
from csched_policies.exceptions import read_exceptions
from csched_policies.facts import Dataset, Tenant, read_datasets, read_tenants
from csched_policies.groups import Group, Groups, read_group
from csched_policies.policy_content import Content
from csched_policies.policy_set import PolicySet
from csched_policies.rule import Rule, read_rule

GROUPS: Final = "groups"
FACTS: Final = "facts"
TENANTS: Final = "facts/tenants.yaml"
DATASETS: Final = "facts/datasets.yaml"
EXCEPTIONS: Final = "exceptions"
MAX_FILES: Final = 2000
MAX_RULES: Final = 2000
_SITE_NAMES: Final = frozenset({"site.id", "data.site", "job.home_site"})


def load_policies(folder: Path, fleet: Fleet | None = None) -> PolicySet:
    """The rules in `folder`, with the shipped groups unless the folder brings files of the same name.

    Tenants come from `facts/tenants.yaml` in the folder, else beside it. With a fleet, a rule that names a site which
    the fleet does not have is refused.

    Raises:
        InputError: with file, line and field; also for a folder without any rule, which would allow everything.
    """
    paths = _paths(folder)
    sources = {name: read_text(path, max_mib=4) for name, path in paths.items()}
    return _load(sources, fleet, {name: str(path) for name, path in paths.items()})


def load_texts(texts: Mapping[str, str], fleet: Fleet | None, folder: Path) -> PolicySet:
    """The set that `folder` would give if its files were these texts; nothing beside it counts.

    Raises:
        InputError: as `load_policies`.
    """
    shipped = {name: read_text(path, max_mib=4) for name, path in _shipped_groups().items()}
    return _load({**shipped, **texts}, fleet, {name: str(folder / name) for name in texts})


def load_sources(sources: Mapping[str, str], fleet: Fleet | None = None) -> PolicySet:
    """The same set again from `PolicySet.sources()`; where it names no group file, the shipped groups apply.

    Raises:
        InputError: as `load_policies`.
    """
    if not any(_top(name) == GROUPS for name in sources):
        shipped = {name: read_text(path, max_mib=4) for name, path in _shipped_groups().items()}
        sources = {**shipped, **sources}
    return _load(sources, fleet, {})


def _load(sources: Mapping[str, str], fleet: Fleet | None, spelled: Mapping[str, str]) -> PolicySet:
    """`spelled`: name of a source -> what errors call it, where that differs."""
    documents = [
        (name, document)
        for name in sorted(sources)
        for document in load_documents(sources[name], spelled.get(name, name))
    ]
    groups = _groups(document for name, document in documents if _top(name) == GROUPS)
    tenants: dict[str, Tenant] = {}
    datasets: dict[str, Dataset] = {}
    for name, document in documents:
        if name == TENANTS:
            tenants |= read_tenants(document)
        elif name == DATASETS:
            datasets |= read_datasets(document)
        elif _top(name) == FACTS:
            raise InputError(
                "no facts are read from a file of this name",
                hint=f"facts go to {TENANTS} and {DATASETS}",
                where=document.where(),
            )
    rules = _rules([document for name, document in documents if _top(name) not in {GROUPS, FACTS, EXCEPTIONS}], groups)
    if not rules:
        raise InputError(
            "there is no rule here, and no rules would allow everything",
            hint="copy rules from the shipped library: docs/policies.md",
        )
    for rule in rules:
        check_cases(rule)
    if fleet is not None:
        _check_site_names(rules, fleet)
    exceptions = read_exceptions((document for name, document in documents if _top(name) == EXCEPTIONS), rules, fleet)
    return PolicySet(Content(rules, groups, tenants, exceptions, datasets), sources)


def files_in(folder: Path) -> dict[str, Path]:
    """Name, relative and with slashes -> path, of every YAML file in the folder that is not hidden.

    Raises:
        InputError: no such folder, or too many files.
    """
    if not folder.is_dir():
        what = "a folder of rules was expected, this is a file" if folder.exists() else "no such folder"
        raise InputError(what, hint="name the folder with the rules", where=Where(str(folder)))
    found = {
        path.relative_to(folder).as_posix(): path
        for pattern in ("*.yaml", "*.yml")
        for path in folder.rglob(pattern)
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    if len(found) > MAX_FILES:
        raise InputError(
            f"more than {MAX_FILES} files", hint="name the folder with the rules", where=Where(str(folder))
        )
    return found


def _paths(folder: Path) -> dict[str, Path]:
    """Every file that counts: the folder's, the shipped groups and, where the folder has none, tenants beside it."""
    found = files_in(folder)
    for facts in (TENANTS, DATASETS):
        beside = folder.absolute().parent / facts
        if facts not in found and beside.is_file():
            found[facts] = beside
    return _shipped_groups() | found


def _shipped_groups() -> dict[str, Path]:
    return {f"{GROUPS}/{path.name}": path for path in sorted(policy_groups().glob("*.yaml"))}


def _top(name: str) -> str:
    return PurePosixPath(name).parts[0]


def _groups(documents: Iterable[Document]) -> Groups:
    by_name: dict[str, Group] = {}
    places: dict[str, Document] = {}
    for document in documents:
        group = read_group(document)
        if group.group in by_name:
            raise InputError(
                f"group `{group.group}` is there twice, also in {places[group.group].file}",
                hint="to replace a shipped group, give your file the name of the shipped one",
                where=document.where(("group",)),
            )
        by_name[group.group], places[group.group] = group, document
    return Groups(by_name)


def _rules(documents: list[Document], groups: Groups) -> tuple[Rule, ...]:
    """All rules in the order of their ids, so that verdicts do not depend on the names of files."""
    rules: dict[str, Rule] = {}
    for document in documents:
        rule = read_rule(document, groups)
        if rule.id in rules:
            first = rules[rule.id].where("id")
            raise InputError(f"rule `{rule.id}` is there twice, first in {first}", where=rule.where("id"))
        rules[rule.id] = rule
    if len(rules) > MAX_RULES:
        raise InputError(f"more than {MAX_RULES} rules")
    return tuple(rules[name] for name in sorted(rules))


def _check_site_names(rules: Iterable[Rule], fleet: Fleet) -> None:
    known = [site.id for site in fleet.sites]
    for rule in rules:
        for key, clauses in (("when", rule.when), ("require", rule.require)):
            for clause in clauses:
                for name in _site_names(clause):
                    if name not in known:
                        raise InputError(
                            f"`{name}` is not a site of this fleet",
                            hint=did_you_mean(name, known),
                            where=rule.where(key, clause.path, clause.operator),
                        )


def _site_names(clause: Clause) -> list[str]:
    if clause.path not in _SITE_NAMES:
        return []
    return sorted(clause.operand) if isinstance(clause.operand, frozenset) else [str(clause.operand)]
