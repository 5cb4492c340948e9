"""Whether an order from the wire is one this site must carry out. Pure: the memory of the journal is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from csched_slurm.protocol.messages import OrderRefusal
from csched_slurm.protocol.orders import CancelOrder, StartOrder
from csched_slurm.protocol.signing import NotAuthentic, SignedOrder, verify

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far the core's clock may be ahead of the site's."""
LONGEST_LIFE: Final = timedelta(days=1)


class Seen(Protocol):
    """The orders that were taken before."""

    def order_at(self, sequence: int) -> str | None:
        """SHA-256 of the order of this number."""
        ...

    def order_for(self, attempt: str, kind: str) -> str | None:
        """SHA-256 of the order of this kind for this attempt."""
        ...


@dataclass(frozen=True)
class Turned:
    """An order that is not carried out."""

    refusal: OrderRefusal
    order: StartOrder | CancelOrder | None = None
    """Null where it cannot be believed."""
    ours: bool = False
    """It was meant for this site and never seen before: its attempt is given back."""


@dataclass(frozen=True)
class Door:
    """Whose orders are taken, and for whom."""

    site: str
    cluster: str
    trust: Mapping[str, Ed25519PublicKey]

    def admit(self, signed: SignedOrder, seen: Seen, now: datetime) -> StartOrder | CancelOrder | Turned | None:
        """The order; None for one that was taken before; or why it is not carried out."""
        try:
            order = verify(signed, self.trust)
        except NotAuthentic as error:
            return Turned(OrderRefusal(sequence=signed.sequence, code=error.code, message=str(error)))
        known = (seen.order_at(order.sequence), seen.order_for(order.attempt, order.kind))
        if signed.sha256 in known and set(known) <= {signed.sha256, None}:
            return None
        fault = self._fault(order, known, now)
        if fault is None:
            return order
        code, message = fault
        refusal = OrderRefusal(sequence=order.sequence, attempt=order.attempt, code=code, message=message)
        return Turned(refusal, order, ours=code not in {"WrongSite", "Replayed"})

    def _fault(
        self, order: StartOrder | CancelOrder, known: tuple[str | None, str | None], now: datetime
    ) -> tuple[str, str] | None:
        if order.site != self.site:
            return "WrongSite", f"the order is for site `{order.site}`, this is `{self.site}`"
        if order.cluster != self.cluster:
            return "WrongCluster", f"the order is for cluster `{order.cluster}`, this is `{self.cluster}`"
        if known != (None, None):
            return "Replayed", "another order with this number, or for this attempt, was taken before"
        if order.issued_at > now + CLOCK_TOLERANCE:
            return "NotYetValid", f"issued at {order.issued_at:%FT%TZ}, which is in the future here"
        if order.expires_at <= now or order.expires_at > order.issued_at + LONGEST_LIFE:
            return "Expired", f"valid until {order.expires_at:%FT%TZ} only"
        return None
