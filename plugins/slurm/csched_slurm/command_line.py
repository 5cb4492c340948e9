"""The transport that calls Slurm's own commands with this cluster's SLURM_CONF; never `--clusters`, which needs
slurmdbd, is ten times slower, and leaves out without a word a cluster that is down."""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from csched.clock import SystemClock
from csched.ports import Clock
from csched_slurm import commands
from csched_slurm.bounded_process import Cut, Ended, run
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
from csched_slurm.parsing.accounts import (
    ASSOCIATION_COLUMNS,
    QOS_COLUMNS,
    read_printed_associations,
    read_printed_qos,
)
from csched_slurm.parsing.configuration import read_printed_facts
from csched_slurm.parsing.fields import Unreadable
from csched_slurm.parsing.jobs import read_jobs
from csched_slurm.parsing.nodes import read_nodes
from csched_slurm.parsing.partitions import read_printed_partitions
from csched_slurm.parsing.reservations import read_printed_licences, read_printed_reservations
from csched_slurm.transport import (
    Answer,
    Failed,
    JobChange,
    JobRequest,
    Known,
    OrderAnswer,
    SubmitAnswer,
)

T = TypeVar("T")

RunAs = Callable[[str | None], Sequence[str]]
"""User (None: whoever this process is) -> words before the command, such as sudo's."""

_NO_SUCH_JOB: Final = "Invalid job id specified"
_ACCOUNTED_DAYS: Final = 30
"""How far back slurmdbd is searched for a name; by id it is searched whole."""


def as_oneself(_user: str | None) -> Sequence[str]:
    """Every command runs as the user of this process."""
    return ()


class CommandLineObserver:
    """Questions by squeue, sinfo, scontrol show, sacct and sacctmgr show."""

    def __init__(
        self,
        cluster: str,
        slurm_conf: Path,
        *,
        run_as: RunAs = as_oneself,
        programs: Path = Path("/usr/bin"),
        timeout_s: float = 30,
        clock: Clock | None = None,
    ) -> None:
        """`timeout_s` is to be longer than the cluster's MessageTimeout (10 s by default), or nothing is ever clear."""
        self.cluster = cluster
        self._run_as = run_as
        self._programs = programs
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._environment = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "SLURM_CONF": str(slurm_conf),
        }

    def ping(self) -> Answer[Ping]:
        end = self._end_of(["scontrol", "ping"])
        if isinstance(end, Cut):
            return Failed(end.why)
        said = end.stdout.decode(errors="replace").strip()[:2000]
        if "Slurmctld" not in said:
            return Failed(end.words)
        return Known(Ping(up=" is UP" in said, message=said))

    def facts(self) -> Answer[ClusterFacts]:
        found = self._asked(
            ["scontrol", "show", "config"], lambda out: read_printed_facts(out.decode(), self._clock.now())
        )
        if isinstance(found, Failed):
            return found
        return Known(found.value.model_copy(update={"gate": self._gate(found.value)}))

    def job(self, job_id: int) -> Answer[ClusterJob | None]:
        answer = self._asked(["squeue", "--json", "--all", "--states=all", f"--jobs={job_id}"], read_jobs)
        if isinstance(answer, Failed):
            return Known(None) if _NO_SUCH_JOB in answer.why else answer
        return Known(next((job for job in answer.value if job.id == job_id), None))

    def look_up(self, name: str) -> Answer[tuple[ClusterJob, ...]]:
        # squeue of 22.05 forgets every filter when it writes JSON
        answer = self._asked(["squeue", "--json", "--all", "--states=all", f"--name={name}"], read_jobs)
        if isinstance(answer, Failed):
            return answer
        return Known(tuple(sorted((job for job in answer.value if job.name == name), key=lambda job: job.id)))

    def jobs(self) -> Answer[tuple[ClusterJob, ...]]:
        return self._asked(["squeue", "--json", "--all", "--states=all"], read_jobs)

    def nodes(self) -> Answer[tuple[NodeState, ...]]:
        writes_json = self._client_release is not None and self._client_release >= (23, 2)
        command = ["scontrol", "show", "nodes", "--json"] if writes_json else ["sinfo", "--json"]
        return self._asked(command, read_nodes)

    def partitions(self) -> Answer[tuple[PartitionLimits, ...]]:
        return self._printed("partition", read_printed_partitions)

    def reservations(self) -> Answer[tuple[ClusterReservation, ...]]:
        return self._printed("reservation", read_printed_reservations)

    def licences(self) -> Answer[tuple[Licence, ...]]:
        return self._printed("licenses", read_printed_licences)

    def associations(self) -> Answer[tuple[Association, ...]]:
        which = [f"cluster={self.cluster}", f"format={ASSOCIATION_COLUMNS}"]
        return self._asked(
            ["sacctmgr", "--parsable2", "show", "associations", *which],
            lambda out: read_printed_associations(out.decode()),
        )

    def qos(self) -> Answer[tuple[Qos, ...]]:
        return self._asked(
            ["sacctmgr", "--parsable2", "show", "qos", f"format={QOS_COLUMNS}"],
            lambda out: read_printed_qos(out.decode()),
        )

    def accounting(self, *, ids: Collection[int] = (), names: Collection[str] = ()) -> Answer[tuple[AccountedJob, ...]]:
        found: list[AccountedJob] = []
        for which in _accounting_filters(ids, names):
            answer = self._asked(["sacct", "--json", "--allusers", "--duplicates", *which], read_accounted_jobs)
            if isinstance(answer, Failed):
                return answer
            found += answer.value
        mine = {(job.id, job.submit): job for job in found if job.cluster == self.cluster}
        return Known(tuple(sorted(mine.values(), key=lambda job: (str(job.submit), job.id))))

    def _gate(self, facts: ClusterFacts) -> bool | None:
        """Ask with a job that only csched's gate objects to; `--test-only` submits nothing."""
        if "lua" not in (facts.job_submit_plugins or ()):
            return False
        end = self._end_of(["sbatch", "--test-only", "--comment=csched:gate?", "--wrap=true"])
        if isinstance(end, Cut):
            return None
        return "csched: the comment" in end.stderr

    @cached_property
    def _client_release(self) -> tuple[int, int] | None:
        """Of the commands, whose shape of JSON is not the controller's."""
        end = self._end_of(["scontrol", "--version"])
        if isinstance(end, Cut):
            return None
        words = end.stdout.decode(errors="replace").split()
        return ClusterFacts(version=words[-1] if words else None).release

    def _printed(self, what: str, read: Callable[[str], T]) -> Answer[T]:
        return self._asked(["scontrol", "--oneliner", "show", what], lambda out: read(out.decode()))

    def _asked(self, command: Sequence[str], read: Callable[[bytes], T]) -> Answer[T]:
        end = self._end_of(command)
        if isinstance(end, Cut):
            return Failed(end.why)
        if end.code != 0:
            return Failed(end.words)
        try:
            return Known(read(end.stdout))
        except (Unreadable, UnicodeDecodeError) as error:
            return Failed(f"`{command[0]}`: {error}")

    def _end_of(self, command: Sequence[str], *, user: str | None = None, stdin: str | None = None) -> Ended | Cut:
        name, *words = command
        argv = [*self._run_as(user), str(self._programs / name), *words]
        return run(argv, self._environment, timeout_s=self._timeout_s, stdin=stdin)


class CommandLine(CommandLineObserver):
    """Orders by sbatch, scontrol and scancel too. `run_as` must be able to submit as the request's user."""

    def submit(self, request: JobRequest) -> SubmitAnswer:
        words = commands.sbatch_words(request)
        return commands.read_submitted(self._end_of(["sbatch", *words], user=request.user, stdin=request.script))

    def release(self, job_id: int) -> OrderAnswer:
        return self._order("scontrol", "release", str(job_id))

    def hold(self, job_id: int) -> OrderAnswer:
        return self._order("scontrol", "hold", str(job_id))

    def cancel(self, job_id: int) -> OrderAnswer:
        return self._order("scancel", "--verbose", str(job_id))

    def requeue(self, job_id: int, *, hold: bool = True) -> OrderAnswer:
        return self._order("scontrol", "requeuehold" if hold else "requeue", str(job_id))

    def update(self, job_id: int, change: JobChange) -> OrderAnswer:
        return self._order("scontrol", "update", f"JobId={job_id}", *commands.update_words(change))

    def signal(self, job_id: int, signal: str) -> OrderAnswer:
        return self._order("scancel", "--verbose", "--batch", f"--signal={signal}", str(job_id))

    def _order(self, *command: str) -> OrderAnswer:
        return commands.read_order(self._end_of(command))


def _accounting_filters(ids: Collection[int], names: Collection[str]) -> list[list[str]]:
    filters = []
    if ids:
        filters.append([f"--jobs={','.join(str(job_id) for job_id in sorted(ids))}"])
    if names:
        filters.append([f"--name={','.join(sorted(names))}", f"--starttime=now-{_ACCOUNTED_DAYS}days"])
    return filters
