"""Who may use the HTTP API."""

import hashlib
import secrets

from sqlmodel import col, select

from csched.store.mapping import to_token
from csched.store.part import Part
from csched.store.records import Token
from csched.store.rows import TokenRow


class Tokens(Part):
    """API tokens, without their secrets."""

    def create_token(self, name: str, role: str = "user") -> tuple[Token, str]:
        """A new API token and its secret, which is shown this once: only a SHA-256 of it is kept."""
        secret = secrets.token_urlsafe(32)
        with self._database.write() as session:
            row = TokenRow(name=name[:64], role=role[:32], sha256=_sha256(secret), created=self._clock.now())
            session.add(row)
            session.flush()
            return to_token(row), secret

    def token(self, secret: str) -> Token | None:
        """Whose secret this is; null where it is nobody's."""
        with self._database.read() as session:
            row = session.exec(select(TokenRow).where(TokenRow.sha256 == _sha256(secret))).first()
            return to_token(row) if row else None

    def tokens(self) -> tuple[Token, ...]:
        with self._database.read() as session:
            return tuple(to_token(row) for row in session.exec(select(TokenRow).order_by(col(TokenRow.id))))

    def revoke_token(self, token_id: int) -> bool:
        with self._database.write() as session:
            row = session.get(TokenRow, token_id)
            if row is not None:
                session.delete(row)
            return row is not None


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
