"""The composition root: settings in, wired ports out. The only module that knows every package.

Everything is built when it is first asked for, so that `csched submit` loads neither the solver nor pandas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from csched import shipped
from csched.clock import SystemClock
from csched.domain.array import ArrayTasks
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.plan import Explanation, Plan
from csched.domain.run import JobState, Script
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import Reason
from csched.errors import InputError, Unavailable
from csched.formats.batch_script import BatchJob, Surroundings, read_batch_script
from csched.formats.directives import Given
from csched.formats.known_places import require_known_places, require_known_reservation
from csched.formats.validation import did_you_mean
from csched.ports import CarbonSource, Clock, Dispatcher, Gate, Policies
from csched.settings import Settings, load_settings
from csched.store.records import Drain, JobRecord, Submission
from csched.store.scripts import require_runnable

if TYPE_CHECKING:
    from csched.store.attempts import Attempts
    from csched.store.repository import Repository
    from csched.store.world import StoreWorld
    from csched_policies.signed import SignedPolicies

__all__ = ["App", "Settings", "load_settings", "open_app"]


@dataclass
class App:
    """The parts, wired, and what the doors do with them. Errors are those of the parts (csched.errors)."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def fleet(self) -> Fleet:
        from csched.formats.fleet import read_fleet
        from csched.topology.calibration_file import calibrated, read_calibrations

        fleet = read_fleet(self.settings.fleet or shipped.demo_fleet())
        return calibrated(fleet, read_calibrations(self.settings.calibration_file))

    @cached_property
    def hardware(self) -> Mapping[str, Hardware]:
        """The kinds of hardware that the fleet's partitions name."""
        from csched.topology.catalogue import hardware_of

        return hardware_of(self.fleet)

    @cached_property
    def policies(self) -> Policies:
        from csched_policies.load import load_policies

        return self.signed_policies or load_policies(self._policy_folder, self.fleet)

    @cached_property
    def signed_policies(self) -> "SignedPolicies | None":
        """Null where no keys are set: then the folder is read once and needs no signature."""
        if self.settings.policy_keys is None:
            return None
        from csched_policies.signed import SignedPolicies

        return SignedPolicies(self._policy_folder, self.settings.policy_keys, self.store, self.fleet)

    @property
    def _policy_folder(self) -> Path:
        return self.settings.policies or shipped.policy_library()

    def policies_in_force(self) -> Policies:
        """The policies of this moment: one set that no reload changes half way through a decision."""
        if self.signed_policies is None:
            return self.policies
        self.signed_policies.refresh()
        return self.signed_policies.in_force

    def check_policies(self) -> None:
        """Look at the folder of policies once more. Raises why it is not in force, where it is not."""
        self.policies_in_force()
        if self.signed_policies is not None and self.signed_policies.refusal is not None:
            raise self.signed_policies.refusal

    @cached_property
    def carbon(self) -> CarbonSource:
        from csched.carbon.climatology import NAME
        from csched.carbon.sources import open_source

        spec = self.settings.carbon
        if spec == NAME:
            return open_source(spec, self.settings.carbon_risk)
        from csched.carbon.kept import KeptCarbon

        zones = sorted({site.grid_zone for site in self.fleet.sites})
        return KeptCarbon(
            spec, lambda: open_source(spec, self.settings.carbon_risk), zones, self.store.carbon_cache, self.clock
        )

    @cached_property
    def store(self) -> "Repository":
        from csched.store.repository import Repository

        self.home()
        return Repository(self.settings.database_url, self.clock)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        from csched.local.dispatcher import LocalDispatcher

        self.home()
        here = LocalDispatcher(self.settings.spool, kill_wait_s=int(self.settings.kill_wait.total_seconds()))
        return here if self.settings.order_key is None else self._by_site(here, self.settings.order_key)

    def _by_site(self, here: Dispatcher, order_key: Path) -> Dispatcher:
        """Jobs of sites with a Slurm cluster go to their agents' mailboxes, the others stay here."""
        from csched.keys import read_private_key
        from csched_slurm.core.dispatcher import MailboxDispatcher
        from csched_slurm.core.routing import BySite

        def policy_digest() -> str:
            return self.policies_in_force().digest

        mailboxes, key = self.store.mailboxes, read_private_key(order_key)
        clusters = MailboxDispatcher(mailboxes, self.fleet, self.hardware, key, policy_digest, self.clock)
        return BySite(mailboxes, clusters, here, {site.id for site in self.fleet.sites if site.slurm})

    @cached_property
    def gate(self) -> Gate:
        """What each order passes on its way to the dispatcher."""
        from csched_policies.gate import SecondLookGate

        return SecondLookGate(self.policies_in_force, self.fleet, self.clock)

    @cached_property
    def attempts(self) -> "Attempts":
        from csched.store.attempts import Attempts

        return Attempts(self.store, self.dispatcher, self.gate)

    @cached_property
    def world(self) -> "StoreWorld":
        """The store and the dispatcher as the planning cycle sees them."""
        from csched.store.world import StoreWorld

        return StoreWorld(
            self.store,
            self.attempts,
            self.fleet,
            self.hardware,
            self.policies,
            self.carbon,
            self.clock,
            horizon_s=int(self.settings.horizon.total_seconds()),
            slot_s=int(self.settings.slot.total_seconds()),
            end_quantile=self.settings.end_quantile,
        )

    @property
    def budget(self) -> SolveBudget:
        return SolveBudget(seconds=self.settings.budget.total_seconds())

    def home(self) -> Path:
        """The folder of csched's state; made, for its owner only, where it is missing.

        Raises:
            Unavailable: it cannot be made.
        """
        home = self.settings.home
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"the folder `{home}` cannot be made: {error.strerror}", hint="set CSCHED_HOME to one that can"
            ) from error
        return home

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    # What users do. Job ids are integers here; `Job.job` is the same as text.

    def read_script(
        self,
        text: str,
        name: str,
        args: Sequence[str],
        given: Sequence[Sequence[Given]],
        *,
        user: str,
        folder: PurePosixPath,
        environment: Mapping[str, str],
    ) -> BatchJob:
        """What a batch script asks for here and now; `given`, for each part of the job, counts more than its lines.

        Raises:
            InputError: not a batch script, or an option that is unknown, wrong, refused or missing; with its line.
        """
        around = Surroundings(
            now=self.clock.now(), user=user, folder=folder, environment=environment, hardware=frozenset(self.hardware)
        )
        return read_batch_script(text, name, args, given, around)

    def submit_batch(self, batch: BatchJob, key: str | None = None) -> int:
        """Queue what `read_script` read."""
        return self.submit(
            batch.job,
            batch.script,
            name=batch.name,
            project=batch.account,
            account=batch.account,
            hold="user" if batch.held else None,
            key=key,
            array=batch.array,
            kill_on_invalid_dependency=batch.kill_on_invalid_dependency,
        )

    def submit(
        self,
        job: Job,
        script: Script,
        *,
        name: str,
        project: str | None = None,
        account: str | None = None,
        hold: str | None = None,
        key: str | None = None,
        array: ArrayTasks | None = None,
        kill_on_invalid_dependency: bool = False,
    ) -> int:
        """Queue the job, or all tasks of an array, and return its id.

        The same `key` again, by the same user, is the job that it was: a caller who got no answer may ask once more.

        Raises:
            InputError: what no dispatcher could run, such as a script without a `#!` line, which sbatch refuses too;
                a site, a reservation or a job to wait for that there is not.
            Refused: the key was used for another script.
        """
        require_runnable(script)
        require_known_places(job, self.fleet)
        return self.store.submit(
            Submission(
                job=self._with_tenant(job),
                script=script,
                name=name,
                project=project,
                account=account,
                hold=hold,
                key=key,
                array=array,
                kill_on_invalid_dependency=kill_on_invalid_dependency,
            )
        )

    def update(self, job_ids: Sequence[int], columns: Mapping[str, object]) -> tuple[JobRecord, ...]:
        """Change what waiting jobs ask for, all of them or none.

        Raises:
            InputError: values that make no valid job; a reservation or a job to wait for that there is not.
            Refused: a job that is no longer pending.
        """
        if reservation := columns.get("reservation"):
            require_known_reservation(str(reservation), self.fleet)
        return self.store.update_all(job_ids, columns)

    def refused_everywhere(self, job: Job) -> tuple[Reason, ...]:
        """Why policy lets no site at all run the job, most telling first; empty where some site may."""
        job = self._with_tenant(job)
        verdicts = self.policies_in_force().screen([job], self.fleet, self.clock.now())[job.job]
        if any(verdict.allowed for verdict in verdicts):
            return ()
        return tuple(sorted((why for verdict in verdicts for why in verdict.denials), key=lambda why: why.code.tier))

    def _with_tenant(self, job: Job) -> Job:
        return job if job.tenant else job.model_copy(update={"tenant": self.settings.tenant_of_unnamed})

    def drain(self, site: str, reason: str) -> Drain:
        """The site takes no new jobs until it is resumed; what runs there goes on."""
        self._require_site(site)
        return self.store.drain(site, reason)

    def resume(self, site: str) -> bool:
        """False where the site was not drained."""
        self._require_site(site)
        self.store.mailboxes.clear_alarm(site)
        return self.store.resume(site)

    def _require_site(self, site: str) -> None:
        known = [known.id for known in self.fleet.sites]
        if site not in known:
            raise InputError(f"the fleet has no site `{site}`", hint=did_you_mean(site, known))

    # What is planned

    def snapshot(self) -> Snapshot:
        """All that a decision taken now may know."""
        return self.world.snapshot()

    def decide(self, snapshot: Snapshot | None = None) -> Plan:
        """A plan that is not committed: a dry run, of this snapshot or of the present."""
        from csched.cycle import decide

        return decide(snapshot or self.snapshot(), self.policies_in_force(), self.budget)

    def explain(self, job_id: int) -> Explanation:
        """What each site means for the job: as it was decided once it is dispatched, else as it stands now.

        Without options for a job that was cancelled before its start, or whose decision is no longer kept.
        """
        record = self.store.job(job_id)
        if kept := self.store.verdicts(job_id):
            return Explanation(options=kept.options)
        decided = self.store.plan(record.plan)
        if decided and decided.snapshot and record.job in decided.snapshot.jobs:
            return self.explain_in(decided.snapshot, decided.plan, record.job.job)
        if record.state is not JobState.PENDING:
            return Explanation(options=())
        snapshot = self.snapshot()
        return self.explain_in(snapshot, self.decide(snapshot), record.job.job)

    def test(self, job: Job) -> Explanation:
        """What each site would mean for a job that is not queued (`submit --test-only`), beside the jobs that are."""
        snapshot = self.snapshot()
        submitted = self._with_tenant(job).model_copy(update={"submit": job.submit or snapshot.now})
        tried = snapshot.model_copy(update={"jobs": (*snapshot.jobs, submitted)})
        return self.explain_in(tried, self.decide(tried), job.job)

    def explain_in(self, snapshot: Snapshot, plan: Plan, job: str) -> Explanation:
        from csched.placement.explain import options
        from csched.placement.relaxations import relaxations

        verdicts = self.policies.screen(snapshot.jobs, snapshot.fleet, snapshot.now)
        asked = (snapshot, verdicts, plan, job, self.policies.quotas(snapshot))
        return Explanation(options=options(*asked), relaxations=relaxations(*asked))

    # What the daemon does over and over; each may be called by hand as well

    def plan_once(self) -> Plan | None:
        """One cycle: snapshot, decide, commit, dispatch what is due. Null where nothing waits for a place."""
        from csched.cycle import run_cycle

        self.store.end_invalid()
        if not self.store.jobs(states=[JobState.PENDING], limit=1):
            return None
        self.world.policies = self.policies_in_force()
        return run_cycle(self.world, self.world.policies, self.budget)

    def poll(self) -> tuple[JobRecord, ...]:
        """Take over news, drop what has ended, hand over what was left lying. Returns the jobs that changed.

        News first: it costs little, and jobs that cannot be started must not keep others from ending.
        """
        changed = self.attempts.take_over_news()
        self.attempts.forget_ended()
        self.attempts.cancel()
        self.attempts.hand_over()
        return self.store.jobs(ids=changed) if changed else ()

    def bill(self) -> int:
        """Enter every job that has ended and ran into the ledger; how many there were."""
        from csched.accounting.ledger import entry, needs
        from csched.store.mapping import to_run

        ended = [to_run(record) for record in self.store.unbilled()]
        failed: list[str] = []
        for run in ended:
            try:
                need = needs(run, self.fleet)
                outlook = self.carbon.outlook(need.zones, self.clock.now(), need.start, need.end)
                self.store.add(entry(run, self.fleet, self.hardware, outlook))
            except InputError as error:  # the fleet or the carbon files have changed; the other jobs are billed
                failed.append(f"job {run.job.job}: {error}")
        if failed:
            raise InputError(f"{len(failed)} jobs could not be billed; {failed[0]}")
        return len(ended)


def open_app(settings: Settings | None = None, clock: Clock | None = None) -> App:
    """The application of this machine. Raises InputError where a setting is wrong."""
    return App(settings or load_settings(), clock or SystemClock())
