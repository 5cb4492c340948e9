"""How many jobs a second the shipped policies screen over ten sites, with every reason: `python -m bench.screening`.

Ends with 1 if a figure is below its range.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, product
from time import process_time

from csched import shipped
from csched.domain.job import DataClass, Job
from csched.domain.site import Fleet
from csched.formats.fleet import read_fleet
from csched_policies.load import load_policies, load_sources
from csched_policies.policy_set import PolicySet

JOBS = 100_000
SITES = 10
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LEAST_PER_S = {"shared_labels": 50_000, "no_two_alike": 50_000, "no_two_reasons_alike": 500}
"""Jobs per CPU second. The last is the price of 20 objects a job that no other job shares: measured to stay known."""

EVERY_JOB_ITS_OWN_CLASS = """\
id: every-job-its-own-class
version: 1
because: the worst case for a table that shares verdicts
owner: bench@example.eu
review_by: 2027-05-01
enforce: hard
mode: enforce
when: {job.priority: {ge: 0}}
require: {site.country: {not_in: [US]}}
"""


EVERY_JOB_ITS_OWN_REASONS = EVERY_JOB_ITS_OWN_CLASS.replace("every-job-its-own-class", "own-reasons").replace(
    "require: {site.country: {not_in: [US]}}", "require: {job.priority: {le: -1}}"
)
"""Every job is refused everywhere for a number of its own, so that no reason can be shared."""


def jobs() -> Iterator[Job]:
    """Jobs of every class of data and tenant of the demo, and some that say nothing."""
    tenants = ("acme", "hospital", "stat-office", "uni-lund", "uni-lyon", None)
    kinds = list(product((*DataClass, None), tenants))
    for number in range(JOBS):
        data_class, tenant = kinds[number % len(kinds)]
        yield Job(job=f"j{number}", gpus=8, time_limit_s=3600, data_class=data_class, tenant=tenant, priority=number)


def ten_sites() -> Fleet:
    demo = read_fleet(shipped.demo_fleet())
    copies = (site.model_copy(update={"id": f"{site.id}-{copy}"}) for copy, site in product(range(SITES), demo.sites))
    return demo.model_copy(update={"sites": tuple(islice(copies, SITES)), "links": ()})


def measure() -> dict[str, float]:
    """Jobs per CPU second on one core, a new table included: equal labels shared, no two jobs alike, and no two jobs
    refused for the same reason, which nothing can be shared of."""
    library = load_policies(shipped.policy_library())
    by_priority = load_sources({**library.sources(), "every-job.yaml": EVERY_JOB_ITS_OWN_CLASS})
    own_reasons = load_sources({**library.sources(), "own-reasons.yaml": EVERY_JOB_ITS_OWN_REASONS})
    return {
        "shared_labels": _jobs_per_s(library, JOBS),
        "no_two_alike": _jobs_per_s(by_priority, JOBS // 2),
        "no_two_reasons_alike": _jobs_per_s(own_reasons, JOBS // 20),
    }


def _jobs_per_s(policies: PolicySet, count: int) -> float:
    fleet, crowd = ten_sites(), list(islice(jobs(), count))
    started = process_time()
    verdicts = policies.screen(crowd, fleet, NOW)
    return len(verdicts) / (process_time() - started)


if __name__ == "__main__":
    found = measure()
    for name, value in found.items():
        mark = "ok  " if value >= LEAST_PER_S[name] else "MISS"
        sys.stdout.write(f"{mark} {name} {value:,.0f} jobs/s, at least {LEAST_PER_S[name]:,}\n")
    sys.exit(any(value < LEAST_PER_S[name] for name, value in found.items()))
