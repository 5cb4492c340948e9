"""What is loaded, what is refused, and what the digest covers."""

from pathlib import Path

import pytest
from policy_strategies import fleet

from csched import shipped
from csched.errors import InputError
from csched_policies.load import load_policies, load_sources

RULE = """\
id: {id}
version: 1
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: hard
mode: enforce
when: {{tenant.id: {{in: [acme]}}}}
require: {{site.country: {{in: [DE, "@HOME"]}}}}
tests: [{{job: {{tenant.id: acme}}, site: {{country: DE}}, expect: allow}}]
"""
SOURCES = {
    "one.yaml": RULE.format(id="one"),
    "two.yaml": RULE.format(id="two"),
    "groups/home.yaml": (
        "group: HOME\nas_of: 2026-11-22\nsources: [here]\nmembers: [FR, {country: GB, valid_until: 2031-12-27}]\n"
    ),
    "facts/tenants.yaml": "acme: {country: DE, sector: industry, law: GDPR}\n",
}


def test_the_same_set_loads_again_from_its_sources() -> None:
    first = load_policies(shipped.policy_library())
    again = load_sources(first.sources())
    assert again.digest == first.digest
    assert [rule.id for rule in again.rules] == [rule.id for rule in first.rules]


def test_names_and_order_of_files_and_comments_do_not_change_the_digest() -> None:
    digest = load_sources(SOURCES).digest
    both = SOURCES["two.yaml"] + "---\n# a comment\n" + SOURCES["one.yaml"]
    rest = {name: text for name, text in SOURCES.items() if "/" in name}
    assert load_sources({"z/renamed.yml": both, **rest}).digest == digest
    assert load_sources(dict(reversed(SOURCES.items()))).digest == digest
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("one.yaml", "id: one", "id: won"),
        ("one.yaml", "version: 1", "version: 2"),
        ("one.yaml", "a contract", "another contract"),
        ("one.yaml", "dpo@", "cio@"),
        ("one.yaml", "2027-05-01", "2027-05-02"),
        ("one.yaml", "enforce: hard", "enforce: advisory"),
        ("one.yaml", "mode: enforce", "mode: audit"),
        ("one.yaml", "in: [acme]", "not_in: [acme]"),
        ("one.yaml", "[DE,", "[FR,"),
        ("one.yaml", "expect: allow", "expect: deny"),
        ("groups/home.yaml", "[FR,", "[IT,"),
        ("groups/home.yaml", "2031-12-27", "2031-12-28"),
        ("groups/home.yaml", "valid_until: 2031-12-27", "condition: pipeda"),
        ("groups/home.yaml", "as_of: 2026-11-22", "as_of: 2026-11-23"),
        ("groups/home.yaml", "[here]", "[there]"),
        ("facts/tenants.yaml", "DE", "FR"),
        ("facts/tenants.yaml", "industry", "finance"),
        ("facts/tenants.yaml", "GDPR", "FADP"),
        ("facts/tenants.yaml", "acme", "emca"),
    ],
)
def test_any_change_of_content_changes_the_digest(name: str, old: str, new: str) -> None:
    changed = SOURCES[name].replace(old, new, 1)
    assert changed != SOURCES[name]
    assert load_sources({**SOURCES, name: changed}).digest != load_sources(SOURCES).digest


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_rules_gets_the_shipped_groups(tmp_path: Path) -> None:
    loaded = load_policies(written(tmp_path, {"rule.yaml": RULE.format(id="r").replace("@HOME", "@EEA")}))
    assert "EEA" in loaded.content.groups.by_name
    assert "groups/eea.yaml" in loaded.sources()


def test_a_group_file_of_the_same_name_replaces_the_shipped_one(tmp_path: Path) -> None:
    own = "group: EU27\nas_of: 2026-11-22\nsources: [own]\nmembers: [FR]\n"
    loaded = load_policies(
        written(tmp_path, {"groups/eu27.yaml": own, "r.yaml": RULE.format(id="r").replace("HOME", "EU27")})
    )
    assert [member.country for member in loaded.content.groups.by_name["EU27"].members] == ["FR"]


def test_a_group_that_is_there_twice_names_both_places(tmp_path: Path) -> None:
    own = "group: EEA\nas_of: 2026-11-22\nsources: [own]\nmembers: [FR]\n"
    with pytest.raises(InputError, match=r"group `EEA` is there twice, also in .*eea\.yaml"):
        load_policies(
            written(tmp_path, {"groups/mine.yaml": own, "r.yaml": RULE.format(id="r").replace("HOME", "EEA")})
        )


def test_tenants_are_found_in_the_folder_or_beside_it(tmp_path: Path) -> None:
    rule = RULE.format(id="r").replace("HOME", "EEA")
    written(tmp_path, {"rules/r.yaml": rule, "facts/tenants.yaml": "acme: {country: DE}\n"})
    assert load_policies(tmp_path / "rules").content.tenants["acme"].country == "DE"
    written(tmp_path, {"rules/facts/tenants.yaml": "acme: {country: FR}\n"})
    assert load_policies(tmp_path / "rules").content.tenants["acme"].country == "FR"


def test_hidden_files_are_not_rules(tmp_path: Path) -> None:
    rule = RULE.format(id="r").replace("HOME", "EEA")
    loaded = load_policies(written(tmp_path, {"r.yaml": rule, ".git/x.yaml": "nonsense", ".draft.yaml": "nonsense"}))
    assert [each.id for each in loaded.rules] == ["r"]


@pytest.mark.parametrize(
    ("files", "message", "place"),
    [
        ({}, "no rule here", ""),
        ({"a.yaml": "# nothing\n"}, "no rule here", ""),
        ({"a.yaml": "- a list\n"}, "a mapping with `id`", "a.yaml:1"),
        ({"a.yaml": "id: [\n"}, "not YAML", "a.yaml:2"),
        (
            {name: "\n" + SOURCES["one.yaml"].replace("HOME", "EEA") for name in ("a.yaml", "b.yaml")},
            "rule `one` is there twice",
            "b.yaml:2",
        ),
        ({"facts/tenants.yaml": "acme: {contry: DE}\n"}, "unknown key `contry`", "facts/tenants.yaml:1"),
        ({"facts/tenants.yaml": "acme: {law: GPDR}\n"}, "GPDR", "facts/tenants.yaml:1"),
        ({"facts/tenants.yaml": "acme: {sector: bank}\n"}, "bank", "facts/tenants.yaml:1"),
        ({"facts/sites.yaml": "acme: {}\n"}, "no facts are read", "facts/sites.yaml:1"),
        ({"groups/x.yaml": "group: X\n"}, "is missing", "groups/x.yaml:1"),
        ({"groups/home.yaml": SOURCES["groups/home.yaml"].replace("FR", "UK")}, "`UK`", "groups/home.yaml:4"),
        (
            {"groups/home.yaml": SOURCES["groups/home.yaml"].replace("2031-12-27", "31.12.")},
            "31.12.",
            "groups/home.yaml:4",
        ),
        (
            {"groups/home.yaml": SOURCES["groups/home.yaml"].replace("GB,", "GB, condition: maybe,")},
            "maybe",
            "groups/home.yaml:4",
        ),
    ],
)
def test_a_mistake_anywhere_refuses_the_whole_folder(tmp_path: Path, files, message: str, place: str) -> None:
    with pytest.raises(InputError) as refused:
        load_policies(written(tmp_path, files))
    assert message in refused.value.message
    assert place in str(refused.value.where or "")


def test_a_file_or_nothing_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text("id: r\n")
    for path in (tmp_path / "rule.yaml", tmp_path / "absent"):
        with pytest.raises(InputError, match="folder"):
            load_policies(path)


def test_a_site_that_the_fleet_does_not_have_is_a_typo() -> None:
    text = RULE.format(id="r").replace('site.country: {in: [DE, "@HOME"]}', "site.id: {not_in: [s01]}")
    sources = {**SOURCES, "r.yaml": text.replace("site: {country: DE}", "site: {id: s1}")}
    assert load_sources(sources).rules
    with pytest.raises(InputError, match="`s01` is not a site of this fleet") as refused:
        load_sources(sources, fleet([{}, {}]))
    assert refused.value.where is not None
    assert refused.value.where.line == 9
