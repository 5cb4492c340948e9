"""The operand of `has`: which certificate a site must hold."""

from typing import Any, Final

from csched.domain.site import Scheme
from csched.errors import InputError
from csched.formats.validation import did_you_mean
from csched_policies.operators import Evidence, parse_version
from csched_policies.reading import Place, nearest, text_of
from csched_policies.vocabulary import LEVELS, TYPED_SCHEMES

_HAS_KEYS: Final = ("scheme", "version_at_least", "type_at_least", "level_at_least", "valid")


def evidence_of(raw: object, place: Place) -> tuple[Evidence, str]:
    if not isinstance(raw, dict) or "scheme" not in raw:
        raise InputError(
            "`has` needs a scheme",
            hint='write {scheme: hds, version_at_least: "2024", valid: until_job_end}',
            where=place.where,
        )
    for key in raw:
        if key not in _HAS_KEYS:
            raise InputError(
                f"`{key}` is not part of `has`", hint=did_you_mean(key, _HAS_KEYS), where=place.inner(key).where
            )
    scheme_text = text_of(raw["scheme"], place.inner("scheme"))
    if scheme_text not in tuple(Scheme):
        hint = nearest(scheme_text, tuple(Scheme))
        raise InputError(f"`{scheme_text}` is not a scheme", hint=hint, where=place.inner("scheme").where)
    if raw.get("valid", "until_job_end") != "until_job_end":
        raise InputError(
            f"`{raw['valid']}` is not a validity", hint="write until_job_end", where=place.inner("valid").where
        )
    evidence = Evidence(
        scheme=Scheme(scheme_text),
        version_at_least=_version(raw, place),
        type_at_least=_type(raw, Scheme(scheme_text), place),
        level_at_least=_level(raw, Scheme(scheme_text), place),
    )
    asked = [
        f"{name.replace('_', ' ')} {raw[name]}" for name in _HAS_KEYS if name.endswith("_at_least") and name in raw
    ]
    return evidence, ", ".join([f"a certificate {scheme_text}", *asked, "valid until the job ends"])


def _version(raw: dict[str, Any], place: Place) -> tuple[int, ...] | None:
    if "version_at_least" not in raw:
        return None
    given = raw["version_at_least"]
    version = None if isinstance(given, bool) else parse_version(str(given))
    if version is None:
        raise InputError(
            f"`{given}` is not a version", hint='write "2024" or "3.2"', where=place.inner("version_at_least").where
        )
    return version


def _type(raw: dict[str, Any], scheme: Scheme, place: Place) -> int | None:
    if "type_at_least" not in raw:
        return None
    where = place.inner("type_at_least").where
    if scheme not in TYPED_SCHEMES:
        raise InputError(f"certificates of `{scheme}` have no type", where=where)
    if isinstance(raw["type_at_least"], bool) or raw["type_at_least"] not in (1, 2):
        raise InputError(f"type 1 or 2 was expected, got `{raw['type_at_least']}`", where=where)
    return int(raw["type_at_least"])


def _level(raw: dict[str, Any], scheme: Scheme, place: Place) -> str | None:
    if "level_at_least" not in raw:
        return None
    where = place.inner("level_at_least").where
    if scheme not in LEVELS:
        raise InputError(f"certificates of `{scheme}` have no ordered levels", where=where)
    level = str(raw["level_at_least"])
    if level not in LEVELS[scheme]:
        raise InputError(f"`{level}` is not a level of {scheme}", hint=nearest(level, LEVELS[scheme]), where=where)
    return level
