"""The signed manifest of a folder: which files it has, what is in them, and in which order sets follow each other.

`MANIFEST.json` names every file with its SHA-256, a serial that rises with each signing, and the key; `MANIFEST.sig` is
an ed25519 signature over its bytes. Whoever reads a signed folder uses the very bytes that were verified.
"""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, ValidationError

from csched.domain.base import Instant, Value
from csched.errors import InputError, Refused, Where
from csched.formats.validation import input_error
from csched_policies.load import TENANTS, files_in, load_policies

MANIFEST: Final = "MANIFEST.json"
SIGNATURE: Final = "MANIFEST.sig"
_MOST_BYTES: Final = 4 * 1024 * 1024
_PUBLIC_END: Final = b"-----END PUBLIC KEY-----"


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


def generate_key(file: Path) -> Path:
    """A new private key, readable by its owner only, and beside it the public one; returns the public one's path.

    Raises:
        Refused: one of the two files is already there.
        InputError: they cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    public_file = file.with_name(file.name + ".pub")
    if public_file.exists():
        raise Refused(f"`{public_file}` is already there", hint="choose another name; a key is never written over")
    _write_new(file, private, 0o600)
    _write_new(public_file, public, 0o644)
    return public_file


def _write_new(file: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    except FileExistsError as error:
        raise Refused(f"`{file}` is already there", hint="choose another name; a key is never written over") from error
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=Where(str(file))) from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 of the raw public key."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def read_private_key(file: Path) -> Ed25519PrivateKey:
    """Raises Refused for a key that others can read, InputError for what is no ed25519 key."""
    raw = _bytes(file)
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise Refused(f"others can read the private key `{file}`", hint=f"chmod 600 {file}, or make a new key")
    try:
        key = serialization.load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(file, "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(file, "private")
    return key


def read_trust(file: Path) -> Mapping[str, Ed25519PublicKey]:
    """The public keys of a PEM file, one after the other, by id: more than one while keys change.

    Raises:
        InputError: no such file, or something in it that is no ed25519 public key.
    """
    blocks = _bytes(file).split(_PUBLIC_END)[:-1]
    keys: dict[str, Ed25519PublicKey] = {}
    for block in blocks:
        try:
            key = serialization.load_pem_public_key(block.strip() + b"\n" + _PUBLIC_END + b"\n")
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _no_key(file, "public") from error
        if not isinstance(key, Ed25519PublicKey):
            raise _no_key(file, "public")
        keys[key_id(key)] = key
    if not keys:
        raise _no_key(file, "public")
    return keys


def _no_key(file: Path, kind: str) -> InputError:
    return InputError(
        f"not an ed25519 {kind} key in PEM", hint="csched policy keygen FILE makes a pair", where=Where(str(file))
    )


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
