"""Orders are believed where somebody trusted has signed exactly this, for this site, now, and for the first time."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from csched.domain.run import Script
from csched.keys import key_id
from csched_slurm.protocol.admission import Door, Turned
from csched_slurm.protocol.orders import CancelOrder, OrderJob, OrderPlacement, StartOrder
from csched_slurm.protocol.signing import MOST_CHARACTERS, NotAuthentic, SignedOrder, sign, verify

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
TRUST = {key_id(KEY.public_key()): KEY.public_key()}
DOOR = Door("essonne", "essonne", TRUST)


def order(**more: object) -> StartOrder:
    plain = {
        "site": "essonne",
        "cluster": "essonne",
        "attempt": "a" * 32,
        "sequence": 1,
        "issued_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
        "placement": OrderPlacement(
            partition="gpu", nodes=1, gpus=4, gpus_per_node=4, whole_nodes=True, time_limit_s=600, start=NOW
        ),
        "job": OrderJob(
            id="7", name="träining", owner="ada", script=Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
        ),
        "policy_digest": "f" * 64,
    }
    return StartOrder.model_validate({**plain, **more})


@dataclass
class Memory:
    """Implements admission.Seen."""

    taken: list[tuple[int, str, str, str]] = field(default_factory=list)

    def take(self, signed: SignedOrder, taken: StartOrder | CancelOrder) -> None:
        self.taken.append((taken.sequence, taken.attempt, taken.kind, signed.sha256))

    def order_at(self, sequence: int) -> str | None:
        return next((sha for number, _, _, sha in self.taken if number == sequence), None)

    def order_for(self, attempt: str, kind: str) -> str | None:
        return next((sha for _, whose, what, sha in self.taken if (whose, what) == (attempt, kind)), None)


def code_of(signed: SignedOrder, memory: Memory | None = None, now: datetime = NOW) -> str | None:
    answer = DOOR.admit(signed, memory or Memory(), now)
    return answer.refusal.code if isinstance(answer, Turned) else None


def test_a_signed_order_arrives_as_it_was_given() -> None:
    assert DOOR.admit(sign(order(), KEY), Memory(), NOW) == order()


@given(st.data())
def test_an_order_that_was_tampered_with_anywhere_is_not_believed(data: st.DataObject) -> None:
    signed = sign(order(), KEY)
    place = data.draw(st.integers(0, len(signed.document) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != signed.document[place]))
    document = signed.document[:place] + other + signed.document[place + 1 :]
    assert code_of(signed.model_copy(update={"document": document})) == "BadSignature"


def test_a_signature_cannot_be_lent_to_another_order_or_to_something_that_is_no_order() -> None:
    lent = sign(order(), KEY).model_copy(update={"document": sign(order(sequence=2), KEY).document})
    assert code_of(lent) == "BadSignature"
    bare = sign(order(), KEY)
    import base64

    without_context = base64.b64encode(KEY.sign(bare.document.encode())).decode()
    assert code_of(bare.model_copy(update={"signature": without_context})) == "BadSignature"
    assert code_of(bare.model_copy(update={"signature": "not base64 at all!"})) == "BadSignature"


def test_a_key_that_nobody_trusts_opens_nothing() -> None:
    stranger = Ed25519PrivateKey.generate()
    assert code_of(sign(order(), stranger)) == "UnknownKey"
    posing = sign(order(), stranger).model_copy(update={"key_id": key_id(KEY.public_key())})
    assert code_of(posing) == "BadSignature"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"site": "bologna"}, "WrongSite"),
        ({"cluster": "bologna"}, "WrongCluster"),
        ({"issued_at": NOW + timedelta(hours=1), "expires_at": NOW + timedelta(hours=2)}, "NotYetValid"),
        ({"expires_at": NOW}, "Expired"),
        ({"expires_at": NOW + timedelta(days=400)}, "Expired"),
    ],
)
def test_a_true_order_for_elsewhere_or_another_time_is_refused_with_its_reason(more: dict, code: str) -> None:
    assert code_of(sign(order(**more), KEY)) == code


def test_the_same_order_again_changes_nothing_even_when_it_has_expired_since() -> None:
    memory, signed = Memory(), sign(order(), KEY)
    memory.take(signed, order())
    assert DOOR.admit(signed, memory, NOW) is None
    assert DOOR.admit(signed, memory, NOW + timedelta(days=3)) is None


@pytest.mark.parametrize("again", [{"sequence": 2}, {"attempt": "b" * 32}], ids=["same attempt", "same number"])
def test_a_replay_with_other_content_is_refused(again: dict) -> None:
    memory = Memory()
    memory.take(sign(order(), KEY), order())
    assert code_of(sign(order(policy_digest="0" * 64, **again), KEY), memory) == "Replayed"


def test_an_order_is_not_believed_in_another_spelling() -> None:
    """Two spellings of one order would have two digests, and one of them could be replayed as new."""
    import base64

    text = json.dumps(json.loads(sign(order(), KEY).document), indent=1)
    signature = base64.b64encode(KEY.sign(b"csched/order/1\n" + text.encode())).decode()
    loose = SignedOrder(sequence=1, key_id=key_id(KEY.public_key()), document=text, signature=signature)
    with pytest.raises(NotAuthentic, match="canonical"):
        verify(loose, TRUST)


def test_a_number_on_the_envelope_that_is_not_the_order_s_is_refused() -> None:
    assert code_of(sign(order(), KEY).model_copy(update={"sequence": 99})) == "Malformed"


def test_an_oversized_order_is_not_even_parsed() -> None:
    signed = sign(order(), KEY)
    with pytest.raises(ValidationError):
        SignedOrder.model_validate({**signed.model_dump(), "document": "x" * (MOST_CHARACTERS + 1)})


def test_a_refused_start_is_given_back_only_where_it_was_meant_for_this_site() -> None:
    late, elsewhere = sign(order(expires_at=NOW), KEY), sign(order(site="bologna"), KEY)
    answers = [DOOR.admit(signed, Memory(), NOW) for signed in (late, elsewhere)]
    assert [answer.ours for answer in answers if isinstance(answer, Turned)] == [True, False]
