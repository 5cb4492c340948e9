"""The transport that calls slurmrestd, by TCP with a token for each user or by its unix socket as the daemon's user.

What slurmrestd's API lacks (a new name or an admin comment on 22.05, requeue on all) goes by `beside`, the site's
command line, where it is given; else it is refused."""

import contextlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from csched.errors import Unavailable
from csched_slurm import rest_bodies
from csched_slurm.cluster import (
    AccountedJob,
    Association,
    ClusterFacts,
    ClusterJob,
    ClusterReservation,
    Licence,
    NodeState,
    PartitionLimits,
    Ping,
    Qos,
)
from csched_slurm.parsing.accounting import read_accounted_jobs
from csched_slurm.parsing.accounts import read_associations, read_qos
from csched_slurm.parsing.fields import Unreadable, at, error_numbers, errors
from csched_slurm.parsing.jobs import read_jobs
from csched_slurm.parsing.nodes import read_nodes
from csched_slurm.parsing.partitions import read_partitions
from csched_slurm.parsing.reservations import read_licences, read_reservations
from csched_slurm.transport import (
    Answer,
    Failed,
    JobChange,
    JobRequest,
    Known,
    Observer,
    OrderAnswer,
    Refused,
    SubmitAnswer,
    Transport,
    Unknown,
)

T = TypeVar("T")

Tokens = Callable[[str], str]
"""User -> a token that slurmrestd takes for that user. Raises csched.errors.Unavailable where there is none."""

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
_NO_SUCH_JOB: Final = 2017
_CONNECTIONS: Final = 8
"""More make one slurmrestd no faster."""


@dataclass(frozen=True)
class ByToken:
    """`http://host:port`, or https."""

    url: str
    operator: str
    """Who asks and orders; the submitter is each request's user."""
    tokens: Tokens


@dataclass(frozen=True)
class BySocket:
    """Everything is done as `user`, whom the daemon runs as."""

    path: Path
    user: str


@dataclass(frozen=True)
class _Reply:
    status: int
    text: bytes

    def document(self) -> Mapping[str, Any] | None:
        with contextlib.suppress(ValueError):
            answer = json.loads(self.text)
            return answer if isinstance(answer, dict) else None
        return None


class RestObserver:
    """Questions to slurmrestd."""

    def __init__(
        self,
        cluster: str,
        door: ByToken | BySocket,
        *,
        beside: Observer | None = None,
        timeout_s: float = 30,
    ) -> None:
        """`timeout_s` is to be longer than the cluster's MessageTimeout (10 s by default), or nothing is ever clear."""
        self.cluster = cluster
        self._door = door
        self._observer_beside = beside
        wires = httpx.HTTPTransport(
            uds=str(door.path) if isinstance(door, BySocket) else None,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        )
        self._client = httpx.Client(
            base_url="http://slurmrestd" if isinstance(door, BySocket) else door.url,
            transport=wires,
            timeout=httpx.Timeout(timeout_s, connect=5, pool=4 * timeout_s),
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def ping(self) -> Answer[Ping]:
        answer = self._document("GET", "slurm", "ping")
        if isinstance(answer, Failed):
            return answer
        pings = [part for part in answer.value.get("pings") or [] if isinstance(part, dict)]
        up = any("UP" in (part.get("ping"), part.get("pinged")) for part in pings)
        return Known(Ping(up=up, message=errors(answer.value)))

    def facts(self) -> Answer[ClusterFacts]:
        answer = self._document("GET", "slurm", "ping")
        if isinstance(answer, Failed):
            return answer
        beside = self._observer_beside.facts() if self._observer_beside else Failed("slurmrestd alone")
        known = beside.value if isinstance(beside, Known) else ClusterFacts()
        told = {
            "cluster": known.cluster or self.cluster,
            "version": at(answer.value, "meta.slurm.release", "meta.Slurm.release") or known.version,
            "api": self._api,
            "api_tested": self._api in rest_bodies.TESTED,
        }
        return Known(known.model_copy(update=told))

    def job(self, job_id: int) -> Answer[ClusterJob | None]:
        reply = self._reply("GET", "slurm", f"job/{job_id}")
        if isinstance(reply, Failed):
            return reply
        document = reply.document()
        if document is not None and _NO_SUCH_JOB in error_numbers(document):
            return Known(None)
        answer = _read(reply, read_jobs)
        if isinstance(answer, Failed):
            return answer
        return Known(next((job for job in answer.value if job.id == job_id), None))

    def look_up(self, name: str) -> Answer[tuple[ClusterJob, ...]]:
        answer = self.jobs()  # no API filters by name
        if isinstance(answer, Failed):
            return answer
        return Known(tuple(sorted((job for job in answer.value if job.name == name), key=lambda job: job.id)))

    def jobs(self) -> Answer[tuple[ClusterJob, ...]]:
        return self._asked("slurm", "jobs", read_jobs)

    def nodes(self) -> Answer[tuple[NodeState, ...]]:
        return self._asked("slurm", "nodes", read_nodes)

    def partitions(self) -> Answer[tuple[PartitionLimits, ...]]:
        return self._asked("slurm", "partitions", read_partitions)

    def reservations(self) -> Answer[tuple[ClusterReservation, ...]]:
        return self._asked("slurm", "reservations", read_reservations)

    def licences(self) -> Answer[tuple[Licence, ...]]:
        return self._asked("slurm", "licenses", read_licences)

    def associations(self) -> Answer[tuple[Association, ...]]:
        answer = self._asked("slurmdb", "associations", read_associations)
        if isinstance(answer, Failed):
            return answer
        return Known(tuple(one for one in answer.value if one.cluster == self.cluster))

    def qos(self) -> Answer[tuple[Qos, ...]]:
        if self._observer_beside is not None:  # before v0.0.42 slurmrestd leaves limits out
            return self._observer_beside.qos()
        return self._asked("slurmdb", "qos", read_qos)

    def accounting(self, *, ids: Collection[int] = (), names: Collection[str] = ()) -> Answer[tuple[AccountedJob, ...]]:
        paths = [f"job/{job_id}" for job_id in sorted(ids)]
        paths += [f"jobs?job_name={quote(name, safe='')}" for name in sorted(names)]
        found: dict[tuple[int, object], AccountedJob] = {}
        for path in paths:
            answer = self._asked("slurmdb", path, read_accounted_jobs)
            if isinstance(answer, Failed):
                return answer
            found |= {(job.id, job.submit): job for job in answer.value if job.cluster == self.cluster}
        return Known(tuple(sorted(found.values(), key=lambda job: (str(job.submit), job.id))))

    @cached_property
    def _api(self) -> str | None:
        """The newest tested API that is served, else the newest of all. Raises _Silent, and then asks anew."""
        for version in rest_bodies.TESTED:
            reply = self._call("GET", f"/slurm/{version}/ping", self._operator)
            if isinstance(reply, Failed):
                raise _Silent(reply.why)
            if reply.status in {401, 403} or b"uthentication" in reply.text[:4000]:
                raise _Silent(f"slurmrestd does not know `{self._operator}`: HTTP {reply.status}")
            if reply.status != 404:
                return version
        return self._newest_untested()

    def _newest_untested(self) -> str | None:
        reply = self._call("GET", "/openapi/v3", self._operator)
        if isinstance(reply, Failed):
            raise _Silent(reply.why)
        document = reply.document() or {}
        served = {part for path in document.get("paths") or {} for part in path.split("/") if part.startswith("v0.0.")}
        return max(served, key=lambda version: int(version.rpartition(".")[2]), default=None)

    @property
    def _operator(self) -> str:
        return self._door.operator if isinstance(self._door, ByToken) else self._door.user

    def _asked(self, part: str, path: str, read: Callable[[bytes], T]) -> Answer[T]:
        reply = self._reply("GET", part, path)
        return reply if isinstance(reply, Failed) else _read(reply, read)

    def _document(self, method: str, part: str, path: str) -> Answer[Mapping[str, Any]]:
        reply = self._reply(method, part, path)
        if isinstance(reply, Failed):
            return reply
        document = reply.document()
        return Known(document) if document is not None else Failed(_odd(reply))

    def _reply(
        self, method: str, part: str, path: str, *, user: str | None = None, body: Mapping[str, Any] | None = None
    ) -> _Reply | Failed:
        try:
            api = self._api
        except _Silent as silent:
            return Failed(str(silent))
        if api is None:
            return Failed("slurmrestd serves no API that csched knows")
        return self._call(method, f"/{part}/{api}/{path}", user or self._operator, body)

    def _call(self, method: str, path: str, user: str, body: Mapping[str, Any] | None = None) -> _Reply | Failed:
        text = bytearray()
        try:
            with self._client.stream(method, path, headers=self._headers(user), json=body) as response:
                for chunk in response.iter_bytes():
                    text += chunk
                    if len(text) > MAX_ANSWER_BYTES:
                        return Failed(f"slurmrestd said more than {MAX_ANSWER_BYTES // 1024**2} MiB")
        except httpx.HTTPError as error:
            return Failed(f"slurmrestd: {error or type(error).__name__}")
        except Unavailable as error:
            return Failed(f"no token for `{user}`: {error}")
        return _Reply(response.status_code, bytes(text))

    def _headers(self, user: str) -> dict[str, str]:
        if isinstance(self._door, BySocket):
            return {}
        return {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": self._door.tokens(user)}


class Rest(RestObserver):
    """Orders to slurmrestd too."""

    def __init__(
        self, cluster: str, door: ByToken | BySocket, *, beside: Transport | None = None, timeout_s: float = 30
    ) -> None:
        super().__init__(cluster, door, beside=beside, timeout_s=timeout_s)
        self._beside = beside

    def submit(self, request: JobRequest) -> SubmitAnswer:
        api = self._ordering_api()
        if not isinstance(api, str):
            return api
        if lacking := rest_bodies.unsaid(request, api):
            return self._beside.submit(request) if self._beside else _lacks(api, lacking)
        if isinstance(self._door, BySocket) and request.user != self._door.user:
            return Refused(f"by its socket slurmrestd submits as `{self._door.user}` only, not as `{request.user}`")
        body = rest_bodies.submit_body(request, api)
        reply = self._reply("POST", "slurm", "job/submit", user=request.user, body=body)
        if isinstance(reply, Failed):
            return Unknown(reply.why)
        document = reply.document()
        return rest_bodies.read_submitted(document) if document is not None else Unknown(_odd(reply))

    def release(self, job_id: int) -> OrderAnswer:
        return self._order("POST", f"job/{job_id}", {"hold": False})

    def hold(self, job_id: int) -> OrderAnswer:
        return self._order("POST", f"job/{job_id}", {"hold": True})

    def cancel(self, job_id: int) -> OrderAnswer:
        return self._order("DELETE", f"job/{job_id}")

    def requeue(self, job_id: int, *, hold: bool = True) -> OrderAnswer:
        return self._beside.requeue(job_id, hold=hold) if self._beside else _lacks("slurmrestd", ["requeue"])

    def update(self, job_id: int, change: JobChange) -> OrderAnswer:
        api = self._ordering_api()
        if not isinstance(api, str):
            return api
        if lacking := rest_bodies.unchanged(change, api):
            return self._beside.update(job_id, change) if self._beside else _lacks(api, lacking)
        return self._order("POST", f"job/{job_id}", rest_bodies.update_body(change, api))

    def signal(self, job_id: int, signal: str) -> OrderAnswer:
        return self._beside.signal(job_id, signal) if self._beside else _lacks("slurmrestd", ["signal"])

    def _order(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> OrderAnswer:
        api = self._ordering_api()
        if not isinstance(api, str):
            return api
        reply = self._reply(method, "slurm", path, body=body)
        if isinstance(reply, Failed):
            return Unknown(reply.why)
        document = reply.document()
        return rest_bodies.read_order(document) if document is not None else Unknown(_odd(reply))

    def _ordering_api(self) -> str | Refused | Unknown:
        try:
            api = self._api
        except _Silent as silent:
            return Unknown(str(silent))
        if api in rest_bodies.TESTED:
            return api
        return Refused(f"csched was not tested with slurmrestd's API {api}, and only looks")


class _Silent(Exception):
    """slurmrestd did not say which APIs it serves."""


def _lacks(api: str, names: list[str]) -> Refused:
    return Refused(f"{api} has no way to say {', '.join(names)}; give the site a command line too")


def _read(reply: _Reply, read: Callable[[bytes], T]) -> Answer[T]:
    try:
        return Known(read(reply.text))
    except Unreadable as error:
        return Failed(f"slurmrestd, HTTP {reply.status}: {error}")


def _odd(reply: _Reply) -> str:
    return f"slurmrestd, HTTP {reply.status}: {reply.text[:200].decode(errors='replace')}"
