"""The report of a simulation: one HTML file that needs nothing beside it."""

from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

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


def report_html(summary: Mapping[str, object], about: str | None, plots: Mapping[str, str]) -> str:
    """`plots` are SVG texts, which are the only thing that is not escaped."""
    environment = Environment(
        loader=PackageLoader("csched_sim"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("report.html")
    return template.render(summary=summary, about=about, plots=plots, columns=COLUMNS)
