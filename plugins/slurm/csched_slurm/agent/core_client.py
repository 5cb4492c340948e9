"""The agent's calls to the core. The agent calls, never the core: a site opens no port."""

import ipaddress
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import ValidationError

from csched.errors import InputError, Refused, Unavailable
from csched_slurm.protocol.adoption import AdoptionAnswer, AdoptionReport
from csched_slurm.protocol.messages import LONGEST_WAIT_S, OrderPage, ReportBatch, SiteFacts

_MOST_BYTES: Final = 16 * 1024 * 1024
_ANSWERS_WITHIN_S: Final = 20.0


def require_safe(url: str) -> None:
    """Raises InputError for a core to which a token and users' scripts would travel in the clear."""
    parsed = httpx.URL(url)
    if parsed.scheme == "https" or (parsed.scheme == "http" and is_loopback(parsed.host)):
        return
    raise InputError(
        f"the core `{url}` is not reached by TLS",
        hint="write https://...; http:// is for a core on this machine only",
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class CoreClient:
    """One site's calls.

    Raises:
        Unavailable: the core does not answer, or answers what is no answer; try again.
        Refused: the core does not accept this agent; a person must look.
    """

    def __init__(self, core: str, site: str, token: str, ca: Path | None = None) -> None:
        require_safe(core)
        self._base = f"{core.rstrip('/')}/api/v1/agents/{site}"
        trusted = ssl.create_default_context(cafile=str(ca) if ca else None)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {token}"}, verify=trusted, timeout=_ANSWERS_WITHIN_S, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def orders(self, after: int, wait_s: int = LONGEST_WAIT_S) -> OrderPage:
        """What waits after this number; the core answers when something does, or after `wait_s`."""
        answer = self._call("GET", "orders", params={"after": after, "wait_s": wait_s}, longer_s=wait_s)
        try:
            return OrderPage.model_validate_json(answer)
        except ValidationError as error:
            raise Unavailable("the core's answer is no page of orders") from error

    def report(self, batch: ReportBatch) -> None:
        self._call("POST", "reports", content=batch.model_dump_json())

    def adopted(self, report: AdoptionReport) -> AdoptionAnswer:
        """Plain sbatch that waits at the site; what each job waits for."""
        answer = self._call("POST", "adopted", content=report.model_dump_json())
        try:
            return AdoptionAnswer.model_validate_json(answer)
        except ValidationError as error:
            raise Unavailable("the core's answer does not say what jobs wait for") from error

    def tell_facts(self, facts: SiteFacts) -> None:
        self._call("POST", "facts", content=facts.model_dump_json())

    def _call(self, method: str, what: str, *, longer_s: float = 0, **more: Any) -> bytes:
        timeout = httpx.Timeout(_ANSWERS_WITHIN_S + longer_s)
        headers = {"Content-Type": "application/json"} if "content" in more else {}
        try:
            with self._http.stream(method, f"{self._base}/{what}", timeout=timeout, headers=headers, **more) as answer:
                body = bytearray()
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise Unavailable(f"the core's answer is larger than {_MOST_BYTES // 2**20} MiB")
        except httpx.HTTPError as error:
            raise Unavailable(f"the core does not answer: {error}") from error
        if answer.status_code in {401, 403, 404, 409}:
            said = bytes(body[:500]).decode(errors="replace")
            raise Refused(f"the core refuses this agent ({answer.status_code}): {said}")
        if answer.status_code >= 300:
            raise Unavailable(f"the core answers {answer.status_code}")
        return bytes(body)
