"""The report of a simulation: one HTML file that needs nothing beside it."""

from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from csched_sim.scenario import Scenario
from csched_sim.simulation import Simulation
from csched_sim.tables import breakdowns, embodied_kg, flows_gpu_h

COLUMNS: Final = (
    ("jobs", "jobs_completed", "{:,}"),
    ("kgCO2e", "carbon_kg", "{:,.1f}"),
    ("saved %", "saved_vs_baseline_pct", "{:.1f}"),
    ("of the bound %", "captured_of_bound_pct", "{:.1f}"),
    ("kWh", "kwh", "{:,.0f}"),
    ("mean wait h", "mean_wait_h", "{:,.2f}"),
    ("p95 wait h", "p95_wait_h", "{:,.2f}"),
    ("bounded slowdown", "mean_bounded_slowdown", "{:,.2f}"),
    ("utilisation", "utilisation", "{:.1%}"),
    ("makespan h", "makespan_h", "{:,.1f}"),
    ("late", "deadline_misses", "{:,}"),
    ("rules broken", "policy_violations", "{:,}"),
    ("decisions", "decisions", "{:,}"),
)


def report_html(
    summary: Mapping[str, object], scenario: Scenario, simulation: Simulation, plots: Mapping[str, str]
) -> str:
    """`plots` are SVG texts, which are the only thing that is not escaped."""
    environment = Environment(
        loader=PackageLoader("csched_sim"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("report.html")
    return template.render(
        summary=summary,
        scenario=scenario,
        plots=plots,
        columns=COLUMNS,
        breakdowns=breakdowns(simulation),
        flows={result.name: flows_gpu_h(result, simulation.setting) for result in simulation.results},
        embodied={result.name: embodied_kg(result) for result in simulation.results},
    )
