"""Every shipped scenario at full size: speed of each strategy, and what of its expectations was met.

python -m bench.scenarios [NAME ...]        sizes and seeds stand in sim/scenarios/*.yaml
"""

import sys

from csched import shipped
from csched_sim.play import play
from csched_sim.scenario import read_scenario
from csched_sim.summary import summary, timing


def main(names: list[str]) -> None:
    every = sorted(path.stem for path in shipped.scenarios().glob("*.yaml"))
    for name in names or every:
        played = play(read_scenario(shipped.scenarios() / f"{name}.yaml"))
        told = summary(played.simulation, played.scenario, played.notes)
        for strategy, took in timing(played.simulation).items():
            sys.stdout.write(
                f"{name:24} {strategy:20} {told['jobs']:>8} jobs {took['jobs_per_cpu_s']:>10,.0f} jobs/CPU-s\n"
            )
        for expected in told["expectations"]:  # type: ignore[attr-defined] # a list, as `summary` says
            said = "met" if expected["met"] else "NOT MET"
            sys.stdout.write(f"{name:24} {expected['strategy']:20} {expected['figure']} = {expected['seen']}: {said}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
