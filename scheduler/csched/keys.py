"""ed25519 key pairs in PEM: private ones readable by their owner only, public ones gathered in a file of trust."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from csched.errors import InputError, Refused, Where

_MOST_BYTES: Final = 1024 * 1024
_PUBLIC_END: Final = b"-----END PUBLIC KEY-----"


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


def _no_key(file: Path, kind: str) -> InputError:
    return InputError(
        f"not an ed25519 {kind} key in PEM", hint="csched policy keygen FILE makes a pair", where=Where(str(file))
    )


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError("no such file", hint="check the path", where=Where(str(file))) from error
    except OSError as error:
        raise InputError(f"not readable: {error.strerror}", where=Where(str(file))) from error
    if len(raw) > _MOST_BYTES:
        raise InputError("larger than 1 MiB", where=Where(str(file)))
    return raw
