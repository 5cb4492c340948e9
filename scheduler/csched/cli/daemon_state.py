"""Whether a daemon looks after the queue: without one nothing is ever planned, and nobody would notice."""

from datetime import timedelta
from typing import TYPE_CHECKING

from csched.cli.output import Output
from csched.home_lock import is_held

if TYPE_CHECKING:
    from csched.app import App

_PATIENCE = timedelta(seconds=30)
START_IT = "csched serve"


def daemon_runs(app: "App") -> bool:
    """A poll was noted lately, several times the polling interval ago at most, and its process still lives.

    Whether it lives is known at once where it works on this home; a shared database may have its daemon elsewhere.
    """
    if app.settings.database is None and not is_held(app.home()):
        return False
    polled = app.store.health().poll_at
    return polled is not None and app.clock.now() - polled <= max(_PATIENCE, 5 * app.settings.poll_every)


def remark_daemon(app: "App", output: Output) -> None:
    """Say on stderr what keeps the queue from moving, if something does."""
    if not daemon_runs(app):
        output.remark(f"no daemon is running, so nothing is planned or started; start it: {START_IT}")
        return
    for task, error in app.store.health().errors.items():
        output.remark(f"the daemon's last `{task}` failed: {error}")
