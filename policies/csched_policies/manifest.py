"""The signed manifest of a folder: which files it has, what is in them, and in which order sets follow each other.

`MANIFEST.json` names every file with its SHA-256, a serial that rises with each signing, and the key; `MANIFEST.sig` is
an ed25519 signature over its bytes. Whoever reads a signed folder uses the very bytes that were verified.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, ValidationError

from csched.domain.base import Instant, Value
from csched.errors import InputError, Refused, Where
from csched.formats.validation import input_error
from csched.keys import key_id
from csched_policies.load import TENANTS, files_in, load_policies

MANIFEST: Final = "MANIFEST.json"
SIGNATURE: Final = "MANIFEST.sig"
_MOST_BYTES: Final = 4 * 1024 * 1024


class Manifest(Value):
    schema_: Literal["csched/policy-manifest/1"] = Field(default="csched/policy-manifest/1", alias="schema")
    serial: int = Field(ge=1, strict=True)
    """Rises with each signing; a daemon takes no set with a lower one than it has seen."""
    signed_at: Instant
    key_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    files: Mapping[str, str] = Field(min_length=1)
    """Name, relative and with slashes -> SHA-256 of the file's bytes."""


@dataclass(frozen=True)
class SignedSet:
    """A folder whose every byte is what somebody trusted has signed."""

    manifest: Manifest
    manifest_sha256: str
    texts: Mapping[str, str]
    """File name -> text, decoded from the bytes that were verified."""


def sign(folder: Path, key: Ed25519PrivateKey, now: datetime, serial: int | None = None) -> Manifest:
    """Write manifest and signature into `folder`; the serial is one above that of the manifest there, or as given.

    Raises:
        InputError: the rules do not load, or what they need lies outside the folder and would not be signed.
        Refused: a serial that does not rise.
    """
    load_policies(folder)
    files = files_in(folder)
    if TENANTS not in files and (folder.absolute().parent / TENANTS).is_file():
        raise InputError(
            f"{TENANTS} lies beside the folder and would not be signed",
            hint=f"copy it to {folder / TENANTS}",
            where=Where(str(folder)),
        )
    last = _last_serial(folder)
    if serial is not None and serial <= last:
        raise Refused(f"the serial must rise: {serial} is not above {last}", hint=f"--serial {last + 1}")
    manifest = Manifest(
        serial=serial or last + 1,
        signed_at=now,
        key_id=key_id(key.public_key()),
        files={name: hashlib.sha256(_bytes(path)).hexdigest() for name, path in sorted(files.items())},
    )
    raw = manifest.model_dump_json(by_alias=True, indent=2).encode() + b"\n"
    _replace(folder / MANIFEST, raw)
    _replace(folder / SIGNATURE, base64.b64encode(key.sign(raw)) + b"\n")
    return manifest


def _last_serial(folder: Path) -> int:
    """0 where there is no manifest yet; a broken one must be taken away by hand."""
    file = folder / MANIFEST
    return _parsed(file, _bytes(file)).serial if file.exists() else 0


def _replace(file: Path, content: bytes) -> None:
    """All of it or nothing, also for a reader at this instant."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=Where(str(file))) from error


def read_signed(folder: Path, trust: Mapping[str, Ed25519PublicKey]) -> SignedSet:
    """Verify everything, then hand out what was verified.

    Raises:
        InputError: no manifest or signature, a key nobody trusts, a wrong signature, a file that is missing, that was
            changed or that nobody signed; with the file.
    """
    files = files_in(folder)
    raw = _bytes(folder / MANIFEST, hint="csched policy sign DIR --key FILE signs a folder")
    signature = _signature(folder / SIGNATURE)
    manifest = _parsed(folder / MANIFEST, raw)
    key = trust.get(manifest.key_id)
    if key is None:
        raise InputError(
            f"signed by key {manifest.key_id}, which is not trusted",
            hint=f"trusted are {', '.join(sorted(trust))}",
            where=Where(str(folder / MANIFEST)),
        )
    try:
        key.verify(signature, raw)
    except InvalidSignature as error:
        raise InputError(
            f"not what key {manifest.key_id} has signed",
            hint="take the folder from its source again, or sign it anew",
            where=Where(str(folder / MANIFEST)),
        ) from error
    return SignedSet(manifest, hashlib.sha256(raw).hexdigest(), _verified(folder, files, manifest))


def _verified(folder: Path, files: Mapping[str, Path], manifest: Manifest) -> dict[str, str]:
    for name in sorted(manifest.files.keys() ^ files.keys()):
        what = "signed, but missing" if name in manifest.files else "not among the signed files"
        raise InputError(what, hint="sign the folder again once it is whole", where=Where(str(folder / name)))
    texts: dict[str, str] = {}
    for name, path in files.items():
        raw = _bytes(path)
        if hashlib.sha256(raw).hexdigest() != manifest.files[name]:
            raise InputError("changed since it was signed", hint="sign the folder again", where=Where(str(path)))
        try:
            texts[name] = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError("not UTF-8 text", where=Where(str(path))) from error
    return texts


def _signature(file: Path) -> bytes:
    try:
        return base64.b64decode(_bytes(file, hint="csched policy sign DIR --key FILE signs a folder"), validate=False)
    except binascii.Error as error:
        raise InputError("not a signature in base64", where=Where(str(file))) from error


def _parsed(file: Path, raw: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise input_error(
            error, lambda path: Where(str(file), field=".".join(map(str, path)) or None), Manifest
        ) from error


def _bytes(file: Path, hint: str = "check the path") -> bytes:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError("no such file", hint=hint, where=Where(str(file))) from error
    except OSError as error:
        raise InputError(f"not readable: {error.strerror}", where=Where(str(file))) from error
    if len(raw) > _MOST_BYTES:
        raise InputError(f"larger than {_MOST_BYTES // 2**20} MiB", where=Where(str(file)))
    return raw
