"""Signatures of orders: ed25519 over canonical JSON, so that one order has one spelling and one digest."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, ValidationError

from csched.domain.base import Value
from csched.keys import key_id
from csched_slurm.protocol.orders import ORDER, CancelOrder, StartOrder

MOST_CHARACTERS: Final = 6 * 1024 * 1024
"""Of one order: a script of 4 MiB and what escaping it costs."""

_CONTEXT: Final = b"csched/order/1\n"
"""Stands before what is signed: a signature over anything else, with the same key, is none over an order."""


class SignedOrder(Value):
    """An order on its way: the very text that was signed."""

    sequence: int = Field(ge=1)
    key_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    document: str = Field(max_length=MOST_CHARACTERS)
    signature: str = Field(max_length=128)
    """base64."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.document.encode()).hexdigest()


class NotAuthentic(Exception):
    """The text is no order that somebody trusted has signed; `code` is one CamelCase word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def sign(order: StartOrder | CancelOrder, key: Ed25519PrivateKey) -> SignedOrder:
    text = _canonical(order)
    return SignedOrder(
        sequence=order.sequence,
        key_id=key_id(key.public_key()),
        document=text,
        signature=base64.b64encode(key.sign(_CONTEXT + text.encode())).decode(),
    )


def verify(signed: SignedOrder, trust: Mapping[str, Ed25519PublicKey]) -> StartOrder | CancelOrder:
    """Nothing of the text is read before its signature holds.

    Raises:
        NotAuthentic: a key nobody trusts, a wrong signature, or a text that is no order or not its canonical spelling.
    """
    key = trust.get(signed.key_id)
    if key is None:
        raise NotAuthentic("UnknownKey", f"signed by key {signed.key_id}, which this site does not trust")
    try:
        key.verify(base64.b64decode(signed.signature, validate=True), _CONTEXT + signed.document.encode())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise NotAuthentic("BadSignature", f"not what key {signed.key_id} has signed") from error
    try:
        order = ORDER.validate_json(signed.document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise NotAuthentic("Malformed", f"not an order this agent understands: {field}: {first['msg']}") from error
    if _canonical(order) != signed.document or order.sequence != signed.sequence:
        raise NotAuthentic("Malformed", "not the canonical spelling of the order")
    return order


def _canonical(order: StartOrder | CancelOrder) -> str:
    """Sorted keys, no spaces, text as it is."""
    return json.dumps(
        order.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
