"""How long `csched policy diff` compares a million decisions on one core: `python -m bench.policy_difference`.

100,000 jobs of bench.screening (no randomness) at ten sites, judged by two sets and compared: once with the labels of
the demo, once with no two jobs alike. Reading the jobs file is not part of it. Ends with 1 if one takes too long.
"""

import sys
from itertools import islice
from time import process_time

from bench.screening import EVERY_JOB_ITS_OWN_CLASS, JOBS, NOW, SITES, jobs, ten_sites
from csched import shipped
from csched_policies.difference import compare
from csched_policies.load import load_policies, load_sources


def measure() -> dict[str, float]:
    """CPU seconds of a million decisions, both screenings included."""
    library = load_policies(shipped.policy_library())
    old = dict(library.sources())
    new = {**old, "health-fr-hds.yaml": old["health-fr-hds.yaml"].replace("at_least: health", "at_least: personal")}
    alike = _seconds(old, new)
    every = {"every-job.yaml": EVERY_JOB_ITS_OWN_CLASS}
    return {"shared_labels": alike, "no_two_alike": _seconds({**old, **every}, {**new, **every})}


def _seconds(old: dict[str, str], new: dict[str, str]) -> float:
    fleet, crowd = ten_sites(), list(islice(jobs(), JOBS))
    before, after = load_sources(old), load_sources(new)
    started = process_time()
    found = compare(before, after, crowd, fleet, NOW)
    taken = process_time() - started
    if found.decisions != JOBS * SITES or not found.changed:
        raise SystemExit(f"{found.decisions} decisions, {len(found.changed)} jobs changed: not what was to be measured")
    return taken


MOST_CPU_S = 30.0

if __name__ == "__main__":
    taken_s = measure()
    for name, value in taken_s.items():
        mark = "ok  " if value <= MOST_CPU_S else "MISS"
        sys.stdout.write(f"{mark} {name} {value:.1f} s CPU for {JOBS * SITES:,} decisions, at most {MOST_CPU_S:g}\n")
    sys.exit(any(value > MOST_CPU_S for value in taken_s.values()))
