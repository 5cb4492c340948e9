"""The real daemon on the real store and the real local dispatcher, without the solver: all starts at once.

Run as a process by the crash test: `light_daemon.py HOME`. Prints one line when it works.
"""

import sys
from datetime import timedelta
from pathlib import Path

from csched.app import App
from csched.daemon import Daemon
from csched.domain.plan import Plan
from csched.domain.run import JobState
from csched.settings import Settings
from csched.testing.planner import everything_at


def all_at_once(app: App) -> Plan | None:
    """What StoreWorld does around a plan, for a plan that nothing had to be solved for."""
    pending = app.store.jobs(states=[JobState.PENDING])
    if not pending:
        return None
    plan = everything_at([record.job for record in pending], "munich", "b200", app.clock.now())
    app.store.commit(plan, {record.id: record.revision for record in pending})
    app.poll()
    return plan


def main(home: Path) -> None:
    blink = timedelta(milliseconds=50)
    app = App(Settings(home=home, plan_every=blink, poll_every=blink))
    daemon = Daemon(app, cycle=lambda: all_at_once(app))
    unwanted = {"ortools", "pandas", "csched.cycle"} & set(sys.modules)
    sys.stdout.write(f"ready {sorted(unwanted)}\n")
    sys.stdout.flush()
    daemon.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
