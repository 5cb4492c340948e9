"""Starts jobs at sites that trust nobody: each order is signed and laid into the site's mailbox, and news is what the
site's agent has reported. Nothing here reaches out to a site."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from csched.domain.hardware import Hardware
from csched.domain.run import DispatchOrder, GivenBack, JobState, RunReport
from csched.domain.site import Fleet, Partition
from csched.domain.verdict import Reason, ReasonCode
from csched.errors import Unavailable
from csched.ports import Clock
from csched.store.mailboxes import Letter, Mailboxes
from csched_slurm.protocol.messages import AttemptReport, Fate
from csched_slurm.protocol.orders import CancelOrder, OrderJob, OrderPlacement, StartOrder
from csched_slurm.protocol.signing import sign

START_WITHIN: Final = timedelta(minutes=15)
"""An agent that comes back later gives the order back, and the job is planned anew, under the rules of then."""
_CANCEL_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True)
class MailboxDispatcher:
    """Implements csched.ports.Dispatcher for the sites of the fleet that have a Slurm cluster."""

    mailboxes: Mailboxes
    fleet: Fleet
    hardware: Mapping[str, Hardware]
    key: Ed25519PrivateKey
    policy_digest: Callable[[], str]
    clock: Clock

    def dispatch(self, order: DispatchOrder) -> None:
        cluster = self._cluster(order.site)

        def write(sequence: int) -> Letter:
            now = self.clock.now()
            return self._signed(
                StartOrder(
                    site=order.site,
                    cluster=cluster,
                    attempt=order.attempt,
                    sequence=sequence,
                    issued_at=now,
                    expires_at=now + START_WITHIN,
                    placement=self._placement(order),
                    job=_job(order),
                    policy_digest=self.policy_digest(),
                )
            )

        self.mailboxes.post(order.site, order.attempt, "start", write)

    def poll(self, attempts: Mapping[str, str]) -> Sequence[RunReport]:
        news = self.mailboxes.news(attempts)
        sites = self.mailboxes.sites_of(news)
        reports = (
            run_report(AttemptReport.model_validate(document), attempts[attempt], sites[attempt])
            for attempt, document in news.items()
        )
        return [report for report in reports if report is not None]

    def cancel(self, attempt: str) -> None:
        site = self.mailboxes.sites_of([attempt]).get(attempt)
        if site is None:
            return
        cluster = self._cluster(site)

        def write(sequence: int) -> Letter:
            now = self.clock.now()
            return self._signed(
                CancelOrder(
                    site=site,
                    cluster=cluster,
                    attempt=attempt,
                    sequence=sequence,
                    issued_at=now,
                    expires_at=now + _CANCEL_WITHIN,
                )
            )

        self.mailboxes.post(site, attempt, "cancel", write)

    def forget(self, attempt: str) -> None:
        self.mailboxes.forget(attempt)

    def _signed(self, order: StartOrder | CancelOrder) -> Letter:
        signed = sign(order, self.key)
        return Letter(signed.sequence, signed.key_id, signed.document, signed.signature)

    def _cluster(self, site_id: str) -> str:
        site = next((site for site in self.fleet.sites if site.id == site_id), None)
        if site is None or site.slurm is None:
            raise Unavailable(
                f"site `{site_id}` has no Slurm cluster in the fleet file",
                hint="give it `slurm: {cluster: NAME}`, or let its jobs end first",
            )
        return site.slurm.cluster

    def _placement(self, order: DispatchOrder) -> OrderPlacement:
        kind = self.hardware[self._partition(order).hardware]
        whole = order.gpus >= kind.gpus_per_node
        nodes = -(-order.gpus // kind.gpus_per_node)
        return OrderPlacement(
            partition=order.partition,
            nodes=nodes,
            gpus=order.gpus,
            gpus_per_node=kind.gpus_per_node if whole else order.gpus,
            whole_nodes=whole,
            node_list=order.nodes or (),
            domain_nodes=kind.nodes_per_domain,
            time_limit_s=order.time_limit_s,
            start=order.start or self.clock.now(),
        )

    def _partition(self, order: DispatchOrder) -> Partition:
        for partition in self.fleet.site(order.site).partitions:
            if partition.name == order.partition:
                return partition
        raise Unavailable(f"site `{order.site}` has no partition `{order.partition}` any more")


def run_report(report: AttemptReport, job: str, site: str) -> RunReport | None:
    """The agent's words in the core's; None while what became of the attempt is not certain enough to act on."""
    told = RunReport(
        job=job,
        attempt=report.attempt,
        state=report.state,
        exit_code=report.exit_code,
        start=report.start,
        end=report.end,
        nodes=report.nodes,
        message=report.message,
    )
    if report.fate is Fate.REFUSED:
        back = GivenBack(reason=str(report.reason or "SiteRefused"), had_started=False, refusal=_refusal(report, site))
        return told.model_copy(update={"given_back": back})
    if report.fate in {Fate.NODE_FAILURE, Fate.PREEMPTED}:
        if not report.clean:
            return None  # something of it may still run: neither an end nor a fresh start
        reason = "NodeFailed" if report.fate is Fate.NODE_FAILURE else "Preempted"
        back = GivenBack(reason=reason, had_started=True)
        return told.model_copy(update={"given_back": back, "state": JobState.NODE_FAIL})
    return told


def _refusal(report: AttemptReport, site: str) -> Reason | None:
    if report.reason is None:
        return None
    code = ReasonCode(report.reason)
    return Reason(site=site, code=code, clause="site", message=report.message or "the site refuses the job")


def _job(order: DispatchOrder) -> OrderJob:
    return OrderJob(
        id=order.job,
        name=order.name,
        owner=order.user or "nobody",
        tenant=order.tenant,
        account=order.account,
        data_class=order.data_class,
        parts=max(1, len(order.components)),
        script=order.script.model_copy(update={"environment": _environment(order)}),
    )


def _environment(order: DispatchOrder) -> dict[str, str]:
    """What the user named, and what the job may know of itself that the site's Slurm does not."""
    array = order.array.environment if order.array else {}
    return {**order.script.environment, **array, "CSCHED_JOB_ID": order.job, "CSCHED_SITE": order.site}
