"""YAML is read as people mean it, and never costs more than it is worth."""

import pytest

from csched.errors import InputError
from csched.formats.yaml_document import MAX_DEPTH, load_document, load_documents


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("22:00", "22:00"),
        ("2027-05-01", "2027-05-01"),
        ("012", 12),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ('"2024"', "2024"),
        ("null", None),
        ("~", None),
        ("true", True),
        ("0x1F", "0x1F"),
    ],
)
def test_scalars_are_what_they_look_like(written: str, meant: object) -> None:
    data = load_document(f"key: {written}", "f").data
    assert data == {"key": meant}
    assert type(data["key"]) is type(meant)  # type: ignore[index] # shown to be a dict above


def test_every_value_knows_its_line() -> None:
    document = load_document("a:\n  - b: 1\n    c: 2\n  - d: 3\n", "f")
    assert [document.where(path).line for path in [("a",), ("a", 0, "c"), ("a", 1, "d"), ("a", 1, "missing")]] == [
        1,
        3,
        4,
        4,
    ]
    assert str(document.where(("a", 0, "c"))) == "f:3: a[0].c"


def test_several_documents_each_count_their_own_lines() -> None:
    first, second = load_documents("a: 1\n---\n\nb: 2\n", "f")
    assert (first.data, second.data) == ({"a": 1}, {"b": 2})
    assert second.where(("b",)).line == 4


def test_an_alias_repeats_its_value() -> None:
    assert load_document("a: &x [1, 2]\nb: *x\n", "f").data == {"a": [1, 2], "b": [1, 2]}


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InputError, match="once aliases are unfolded"):
        load_document("\n".join(lines), "f")


def test_an_alias_of_what_is_around_it_is_refused() -> None:
    with pytest.raises(InputError, match="stands for nothing that is complete"):
        load_document("a: &x [*x]", "f")


def test_depth_is_bounded() -> None:
    assert load_document("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f").data
    with pytest.raises(InputError, match=r"nested deeper|not YAML"):
        load_document("[" * 100_000 + "]" * 100_000, "f")


@pytest.mark.parametrize("text", ["? [a]\n: 1", "{a: 1}: 2", "a: !!set {x}", "a: !foo 1", "\x00", "a: b: c"])
def test_what_is_no_plain_data_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        load_document(text, "f")
