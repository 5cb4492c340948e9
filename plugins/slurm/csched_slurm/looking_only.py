"""The transport of a site in observe mode: it has no words for an order."""

from csched_slurm.command_line import CommandLineObserver
from csched_slurm.transport import JobChange, JobRequest, OrderAnswer, Refused, SubmitAnswer

_ANSWER = Refused("csched only looks at this site")


class LookingOnly(CommandLineObserver):
    """Implements csched_slurm.transport.Transport, refusing every order itself."""

    def submit(self, _request: JobRequest) -> SubmitAnswer:
        return _ANSWER

    def release(self, _job_id: int) -> OrderAnswer:
        return _ANSWER

    def hold(self, _job_id: int) -> OrderAnswer:
        return _ANSWER

    def cancel(self, _job_id: int) -> OrderAnswer:
        return _ANSWER

    def requeue(self, _job_id: int, *, hold: bool = True) -> OrderAnswer:  # noqa: ARG002
        return _ANSWER

    def update(self, _job_id: int, _change: JobChange) -> OrderAnswer:
        return _ANSWER

    def signal(self, _job_id: int, _signal: str) -> OrderAnswer:
        return _ANSWER
