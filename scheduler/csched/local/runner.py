"""Runs one job script as a real process, once, and writes down what became of it. Standard library only.

One detached process per attempt. Its whole state is the attempt's folder in the spool:

    order.json      what to run; written before this process exists
    script          the user's script, verbatim
    claim           locked (flock) by the runner; the script's process holds it too until it is the script, so a free
                    lock means: no runner lives, and none of its forks can still start the script
    started.json    written right before the script starts; from then on the attempt is never started again
    cancel          its mere presence asks for the end
    ended.json      what became of it; the last thing written

Killed before `started.json` is there, the attempt may be run again by another runner. Killed after, it may not:
the dispatcher then ends what is left of the script's processes and calls it NODE_FAIL. Where only the process that
was to become the script was killed, and the system says that it never did, the runner starts it once more.
"""

import contextlib
import errno
import fcntl
import json
import os
import pwd
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

Order = dict[str, Any]

ORDER, SCRIPT, CLAIM, STARTED, CANCEL, ENDED = "order.json", "script", "claim", "started.json", "cancel", "ended.json"
MARK = "CSCHED_ATTEMPT"
"""In the environment of every process of an attempt, by which strays that left the process group are found."""

_LOOK_EVERY_S = 0.25
_PATH = "/usr/local/bin:/usr/bin:/bin"
_BUSY_TEXT_TRIES = 50
_STARTS_TRIED = 5
_FORKED_BUT_DID_NOT_EXEC = 0x40
"""Among the flags of a process in /proc/PID/stat (proc(5)); ps(1) shows it as 1 in its column F."""


def write_atomically(file: Path, text: str) -> None:
    """The whole text or nothing, on disk when this returns."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123  (of a descriptor, for its mode)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def claim(folder: Path) -> int | None:
    """The locked descriptor of the attempt, or null while another process holds it."""
    descriptor = os.open(folder / CLAIM, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def end(folder: Path, state: str, status: int = 0, signal_number: int = 0, message: str | None = None) -> None:
    """Write down the end; the first one stays."""
    if not (folder / ENDED).exists():
        record = {"state": state, "status": status, "signal": signal_number, "end": time.time(), "message": message}
        write_atomically(folder / ENDED, json.dumps(record))


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def processes_of(attempt: str, session: int | None) -> list[int]:
    """Living processes of an attempt: those of its session, and those that carry its mark wherever they went."""
    mark = f"{MARK}={attempt}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended while we looked, or is not ours
            state, its_session = _state_and_session(process)
            if state in "ZX":
                continue
            marked = mark in (process / "environ").read_bytes().split(b"\0")
            if marked or (session is not None and its_session == session):
                found.append(int(process.name))
    return found


def end_processes(attempt: str, session: int | None) -> bool:
    """Kill whatever is left of an attempt; true once nothing is. Repeats, for a process may fork meanwhile."""
    for _ in range(20):
        left = processes_of(attempt, session)
        if not left:
            return True
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return False


def main(folder: Path) -> int:
    """Take the claim, leave the caller behind, run. Returns at once in the caller's child."""
    os.umask(0o077)
    held = claim(folder)
    if held is None or (folder / ENDED).exists() or (folder / STARTED).exists():
        return 0
    if os.fork():
        return 0
    os.setsid()
    if (folder / CANCEL).exists():
        end(folder, "CANCELLED")
        return 0
    order: Order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    for _ in range(_STARTS_TRIED):
        try:
            output, errors = _open_outputs(order)
        except OSError as error:
            end(folder, "FAILED", status=1, message=f"{error.strerror}: {error.filename}")
            return 0
        if _run(folder, order, output, errors):
            return 0
    end(folder, "FAILED", signal_number=signal.SIGKILL, message="the script was killed whenever it was to be started")
    return 0


def _open_outputs(order: Order) -> tuple[int, int]:
    """Descriptors for stdout and stderr, which are the same where stderr has no file of its own."""
    os.stat(order["work_dir"])  # noqa: PTH116  (fails here, with its name, rather than in the script's process)
    output = _open_output(order["stdout"])
    return output, _open_output(order["stderr"]) if order["stderr"] else output


def _open_output(file: str) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def _run(folder: Path, order: Order, output: int, errors: int) -> bool:
    """False where the script's process was killed before it was the script: then nothing of it has run."""
    script = os.fork()
    if script == 0:
        _become_the_script(folder, order, output, errors)
    os.close(output)
    if errors != output:
        os.close(errors)
    cause, never_was, status = _watch(folder, order, script)
    end_processes(order["attempt"], script)
    if cause is None and never_was and os.WIFSIGNALED(status):
        (folder / STARTED).unlink(missing_ok=True)
        return False
    if cause is not None:
        end(folder, cause)
    elif os.WIFSIGNALED(status):
        end(folder, "FAILED", signal_number=os.WTERMSIG(status))
    else:
        code = os.waitstatus_to_exitcode(status)
        end(folder, "COMPLETED" if code == 0 else "FAILED", status=code)
    return True


def _become_the_script(folder: Path, order: Order, output: int, errors: int) -> NoReturn:
    """The claim stays locked by this process until the script has replaced it (O_CLOEXEC)."""
    status = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        _forget_signals()
        os.chdir(order["work_dir"])
        os.umask(order["umask"])
        environment = _environment(order)
        script = str(folder / SCRIPT)
        started = {"pid": os.getpid(), "boot": boot_id(), "start": time.time()}
        write_atomically(folder / STARTED, json.dumps(started))
        _execute(script, [script, *order["args"]], environment)
    except OSError as error:
        os.write(2, f"csched: the script could not be started: {error.strerror}\n".encode())
        status = (error.errno or 1) & 0xFF
    finally:
        os._exit(status)  # reached only where the script did not take over


def _forget_signals() -> None:
    """A script meets every signal as a login shell would: neither ignored (as Python does SIGPIPE) nor blocked."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # some real-time signals belong to the C library
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _execute(script: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Never returns. Another process may hold the fresh file open for writing for the blink of a fork."""
    for left in reversed(range(_BUSY_TEXT_TRIES)):
        try:
            os.execve(script, arguments, environment)  # noqa: S606  (this is what a job is)
        except OSError as error:
            if error.errno != errno.ETXTBSY or left == 0:
                raise
            time.sleep(0.01)


def _environment(order: Order) -> dict[str, str]:
    """What the user named, a plain login's variables, and the job's own; nothing of the daemon's."""
    account = pwd.getpwuid(os.getuid())
    login = {"PATH": _PATH, "HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
    shell = {"SHELL": account.pw_shell or "/bin/sh", "LANG": "C.UTF-8"}
    return {**login, **shell, **order["environment"], **order["own_environment"], MARK: order["attempt"]}


def _watch(folder: Path, order: Order, script: int) -> tuple[str | None, bool, int]:
    """Wait for the script's end.

    TIMEOUT or CANCELLED where that was the cause; whether its process never became the script; its wait status.
    """
    begun = time.monotonic()
    limit = begun + order["time_limit_s"]
    warn_at = limit - order["warn_before_s"] if order["warn_signal"] else None
    cause, kill_at = None, None
    ended = os.pidfd_open(script)
    watched = select.poll()
    watched.register(ended, select.POLLIN)
    while not watched.poll(_LOOK_EVERY_S * 1000):
        now = time.monotonic()
        if warn_at is not None and now >= warn_at:
            warn_at = None
            _send(script, order["warn_signal"], group=not order["warn_script_only"])
        if cause is None:
            cause = "CANCELLED" if (folder / CANCEL).exists() else "TIMEOUT" if now >= limit else None
            if cause is not None:
                kill_at = now + order["kill_wait_s"]
                _send(script, signal.SIGTERM, group=True)
                _send(script, signal.SIGCONT, group=True)
        elif kill_at is not None and now >= kill_at:
            kill_at = None
            _send(script, signal.SIGKILL, group=True)
    os.close(ended)
    never_was = _never_became_the_script(script)
    return cause, never_was, os.waitpid(script, 0)[1]


def _never_became_the_script(child: int) -> bool:
    """Asked of a child that has ended and has not been waited for. The system drops the flag before a script runs."""
    fields = _fields_of(Path(f"/proc/{child}"))
    return bool(int(fields[6]) & _FORKED_BUT_DID_NOT_EXEC)


def _send(script: int, number: int, *, group: bool) -> None:
    """The script has not been waited for, so its number is still its own."""
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(script, number)


def _state_and_session(process: Path) -> tuple[str, int]:
    fields = _fields_of(process)
    return fields[0], int(fields[3])


def _fields_of(process: Path) -> list[str]:
    """/proc/PID/stat from the state on; the name before it may hold blanks and brackets."""
    return (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
