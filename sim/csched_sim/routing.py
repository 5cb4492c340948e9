"""Routes by place: where a job queues, chosen at its submission and never changed."""

from collections.abc import Callable

from csched.accounting import costs
from csched.clock import from_epoch_s
from csched.domain.job import Job
from csched_sim.floor import Floor
from csched_sim.lawfulness import lawful_berths
from csched_sim.queued import Refused, Route
from csched_sim.setting import Berth, Setting, eligible_s
from csched_sim.traces.trace import TraceJob

NOWHERE = Refused("no site may run it, or none is large enough")

Score = Callable[[Berth], float]


def at_home(traced: TraceJob, floor: Floor) -> Route | Refused:
    """What happens without csched: the first partition of the job's home site that can hold it, lawful or not."""
    job, setting = traced.job, floor.setting
    home = setting.fleet.home_site(job.home_site, job.tenant)
    berth = next((berth for berth in setting.berths.get(home, ()) if berth.fits(job)), None)
    if berth is None:
        return Refused(f"no partition of its home site `{home}` can ever hold it")
    return Route(berth, eligible_s(traced))


def least_loaded(traced: TraceJob, floor: Floor) -> Route | Refused:
    """The lawful partition where the least is asked for each of its GPUs: held, waiting, or on its way there.

    The "least load" of WaterWise's comparison (PPoPP 2025); equal loads go by the order of the fleet.
    """
    return _best(traced, floor, lambda berth: floor.desk(berth).asked / berth.capacity)


def greenest(traced: TraceJob, floor: Floor) -> Route | Refused:
    """The lawful partition where an hour of the job would emit least at the present intensity, however long its queue.

    The greedy spatial shifting of WaterWise's "carbon-opt" (PPoPP 2025) and of Squirrel; equals by order of the fleet.
    """
    sky = floor.setting.skies.at(floor.calendar.now_s)
    now = from_epoch_s(floor.calendar.now_s)
    return _best(
        traced,
        floor,
        lambda berth: _kw(traced.job, berth, floor.setting) * sky.zone(berth.site.grid_zone).at(now),
    )


def lawful_now(traced: TraceJob, floor: Floor) -> list[Berth]:
    """Where the job may run by what the rules say at this instant: at open sites, or, where none is, at closed ones."""
    setting, now_s = floor.setting, floor.calendar.now_s
    policies = setting.policies
    verdicts = policies.screen([traced.job], setting.fleet, from_epoch_s(now_s)) if policies else None
    lawful = lawful_berths(traced.job, setting, verdicts)
    return [berth for berth in lawful if floor.closed(berth.site.id) is None] or lawful


def home_if_lawful(traced: TraceJob, floor: Floor) -> Berth | None:
    """The home partition where that is lawful, else the first lawful one of the fleet."""
    job, setting = traced.job, floor.setting
    home = setting.fleet.home_site(job.home_site, job.tenant)
    lawful = lawful_now(traced, floor)
    return next((berth for berth in lawful if berth.site.id == home), lawful[0] if lawful else None)


def _best(traced: TraceJob, floor: Floor, score: Score) -> Route | Refused:
    lawful = lawful_now(traced, floor)
    return Route(min(lawful, key=score), eligible_s(traced)) if lawful else NOWHERE


def _kw(job: Job, berth: Berth, setting: Setting) -> float:
    """At the site's meter."""
    return costs.it_kw(job.gpus, berth.hardware.kw_per_gpu, job.load) * setting.fleet.pue(berth.site)
