"""The dispatcher of a machine without Slurm: every attempt is a real process that outlives the daemon.

An attempt is a folder in the spool (see csched.local.runner). Dispatching makes the folder, whole or not at all, and
starts its runner; asking again finds the folder and changes nothing. Scripts run as the user of the daemon.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from csched.clock import from_epoch_s
from csched.domain.run import DispatchOrder, ExitCode, JobState, RunReport
from csched.errors import InputError, Unavailable
from csched.local import runner

_RUNNER: Final = Path(runner.__file__)
_RUNNER_STARTS_WITHIN_S: Final = 60
_SIGNAL: Final = re.compile(r"(?:(B):)?(?:SIG)?([A-Z0-9]{1,8})(?:@(\d{1,5}))?")
_WARN_BEFORE_S: Final = 60
"""sbatch's --signal without a time."""


class LocalDispatcher:
    """Implements csched.ports.Dispatcher on this machine; any number of processes may share one spool.

    Raises:
        Unavailable: the spool cannot be written, or no process can be started.
    """

    def __init__(self, spool: Path, *, kill_wait_s: int = 30) -> None:
        self._spool = spool
        self._kill_wait_s = kill_wait_s
        try:
            spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"the spool `{spool}` cannot be made: {error.strerror}") from error

    def dispatch(self, order: DispatchOrder) -> None:
        folder = self._spool / order.attempt
        try:
            if not folder.is_dir():
                self._lay_down(order, folder)
            self._start(folder)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(
                f"job {order.job} could not be started here: {error}",
                hint="csched tries again at the next poll",
            ) from error

    def poll(self, attempts: Mapping[str, str]) -> Sequence[RunReport]:
        reports = []
        for attempt, job in attempts.items():
            folder = self._spool / attempt
            try:
                reports.append(self._report(attempt, job, folder))
            except (OSError, subprocess.SubprocessError) as error:
                if folder.is_dir():  # else it is unknown here, or was dropped while we looked
                    raise Unavailable(f"what became of job {job} cannot be told: {error}") from error
        return reports

    def cancel(self, attempt: str) -> None:
        folder = self._spool / attempt
        if folder.is_dir():
            (folder / runner.CANCEL).touch(mode=0o600)

    def forget(self, attempt: str) -> None:
        """The folder leaves its place at once and whole, so that no late runner ever meets half of it."""
        with contextlib.suppress(FileNotFoundError):
            (self._spool / attempt).rename(self._spool / f".{attempt}.ended")
        for left in self._spool.glob(f".{attempt}.*"):
            shutil.rmtree(left, ignore_errors=True)

    def _lay_down(self, order: DispatchOrder, folder: Path) -> None:
        """Write the folder beside its place and move it there: a reader sees all of it or nothing."""
        part = Path(tempfile.mkdtemp(prefix=f".{order.attempt}.", dir=self._spool))  # mode 0700
        script = part / runner.SCRIPT
        runner.write_atomically(script, order.script.body)
        script.chmod(0o700)
        runner.write_atomically(part / runner.ORDER, json.dumps(self._instructions(order)))
        try:
            part.rename(folder)
        except OSError:
            shutil.rmtree(part)
            if not folder.is_dir():  # else another process was faster, with the same order
                raise
        runner.sync_folder(self._spool)

    def _instructions(self, order: DispatchOrder) -> dict[str, Any]:
        warning = warning_of(order.script.signal)
        return {
            "attempt": order.attempt,
            "work_dir": order.script.work_dir,
            "stdout": _with_node(order.script.stdout),
            "stderr": _with_node(order.script.stderr) if order.script.stderr else None,
            "args": list(order.script.args),
            "umask": 0o022,
            "time_limit_s": order.time_limit_s,
            "kill_wait_s": self._kill_wait_s,
            "warn_signal": warning[0] if warning else None,
            "warn_before_s": warning[1] if warning else 0,
            "warn_script_only": warning[2] if warning else False,
            "environment": dict(order.script.environment),
            "own_environment": own_environment(order),
        }

    def _start(self, folder: Path) -> None:
        """Start a runner unless there is one or was. Two at once do no harm: one finds no claim and goes."""
        held = runner.claim(folder)
        if held is None:
            return
        os.close(held)
        if (folder / runner.STARTED).exists() or (folder / runner.ENDED).exists():
            return
        with (folder / "runner.log").open("ab") as log:
            subprocess.run(  # noqa: S603  (our own interpreter and file, a folder whose name is an attempt's id)
                [sys.executable, "-I", "-S", str(_RUNNER), str(folder)],
                check=True,
                cwd="/",
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                timeout=_RUNNER_STARTS_WITHIN_S,
            )

    def _report(self, attempt: str, job: str, folder: Path) -> RunReport:
        ended, started = _read(folder / runner.ENDED), _read(folder / runner.STARTED)
        if ended is None and (held := runner.claim(folder)) is not None:
            try:
                ended, started = self._without_runner(attempt, folder)
            finally:
                os.close(held)
            if ended is None and started is None:
                self._start(folder)
        begun = from_epoch_s(started["start"]) if started else None
        if ended is None:
            state = JobState.RUNNING if started else JobState.CONFIGURING
            return RunReport(job=job, attempt=attempt, state=state, start=begun)
        return RunReport(
            job=job,
            attempt=attempt,
            state=JobState(ended["state"]),
            exit_code=ExitCode(status=ended["status"], signal=ended["signal"]),
            start=begun,
            end=max(from_epoch_s(ended["end"]), begun) if begun else from_epoch_s(ended["end"]),
            message=ended["message"],
        )

    def _without_runner(self, attempt: str, folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The records of an attempt that has no runner; we hold its claim, so nothing can start meanwhile."""
        ended, started = _read(folder / runner.ENDED), _read(folder / runner.STARTED)
        if ended is None and started is not None:
            session = started["pid"] if started["boot"] == runner.boot_id() else None
            if runner.end_processes(attempt, session):
                message = "the process that watched the job was lost, and with it the way the job ended"
                runner.end(folder, JobState.NODE_FAIL, message=message)
                ended = _read(folder / runner.ENDED)
        return ended, started


def own_environment(order: DispatchOrder) -> dict[str, str]:
    """What a job finds in its environment about itself; Slurm's names where Slurm has one."""
    return {
        "SLURM_JOB_ID": order.job,
        "SLURM_JOBID": order.job,
        "SLURM_JOB_NAME": order.name,
        "SLURM_JOB_PARTITION": order.partition,
        "SLURM_CLUSTER_NAME": order.site,
        "SLURM_SUBMIT_DIR": order.script.work_dir,
        "SLURM_GPUS": str(order.gpus),
        "CSCHED_JOB_ID": order.job,
        "CSCHED_SITE": order.site,
        **(order.array.environment if order.array else {}),
        **_parts_environment(order),
    }


def _parts_environment(order: DispatchOrder) -> dict[str, str]:
    """The script of a heterogeneous job starts once, in its first part, and learns of the others here."""
    if not order.components:
        return {}
    gpus = {f"SLURM_GPUS_HET_GROUP_{number}": str(part.gpus) for number, part in enumerate(order.components)}
    ids = {f"SLURM_JOB_ID_HET_GROUP_{number}": order.job for number in range(len(order.components))}
    return {"SLURM_HET_SIZE": str(len(order.components)), **ids, **gpus}


def warning_of(text: str | None) -> tuple[int, int, bool] | None:
    """sbatch's --signal, `[B:]SIGNAL[@SECONDS]`: (number, seconds before the limit, the script alone).

    Raises:
        InputError: another spelling, or no signal of this machine.
    """
    if text is None:
        return None
    match = _SIGNAL.fullmatch(text.strip().upper())
    if match is None:
        raise InputError(f"`{text}` is not a signal such as B:USR1@120")
    try:
        number = int(match[2]) if match[2].isdecimal() else signal.Signals[f"SIG{match[2]}"]
        number = signal.Signals(number)
    except (KeyError, ValueError) as error:
        raise InputError(f"`{match[2]}` is not a signal of this machine") from error
    return number, int(match[3] or _WARN_BEFORE_S), match[1] is not None


def _read(file: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError):
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return record
    return None


def _node() -> str:
    return socket.gethostname()


def _with_node(file: str) -> str:
    """sbatch's %N, which is only known where the job runs."""
    return file.replace("%N", _node())
