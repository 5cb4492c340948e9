"""/metrics in the Prometheus text format: sums only, no names of users or jobs."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from csched.api.site_agents import agents_metrics
from csched.api.sites import outlook_now, sites_now
from csched.app import App
from csched.domain.plan import Plan
from csched.errors import InputError, Unavailable


def metrics_text(app: App) -> bytes:
    """All metrics of this moment, from a registry of their own."""
    registry = CollectorRegistry()
    registry.register(_Queue(app))
    return generate_latest(registry)


class _Queue(Collector):
    def __init__(self, app: App) -> None:
        self._app = app

    def describe(self) -> list[Metric]:
        """Nothing: registering must not already read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from _jobs(self._app)
        newest = self._app.store.plan()
        if newest is not None:
            yield from _plan(newest.plan)
        yield from _rules(self._app)
        yield from agents_metrics(self._app)
        yield from _carbon(self._app)
        yield from _saved(self._app)


def _jobs(app: App) -> Iterator[Metric]:
    family = GaugeMetricFamily("csched_jobs", "Jobs in this state", labels=["state"])
    for state, count in app.store.count_by_state().items():
        family.add_metric([state.value.lower()], count)
    yield family


def _plan(plan: Plan) -> Iterator[Metric]:
    for name, text, value in (
        ("csched_plan_timestamp_seconds", "When the newest plan was made", plan.now.timestamp()),
        ("csched_plan_placed_jobs", "Jobs that the newest plan places", len(plan.placements)),
        ("csched_plan_unplaced_jobs", "Jobs that the newest plan leaves out", len(plan.unplaced)),
        ("csched_plan_cost_kg", "Its cost in kgCO2e-equivalents", plan.cost_kg),
        ("csched_plan_bound_kg", "Proven lower bound on the cost of any plan", plan.bound_kg),
        ("csched_plan_gap_ratio", "How far from the best plan it can be at most", plan.gap),
        ("csched_plan_build_seconds", "Time to build the problem", plan.build_s),
        ("csched_plan_solve_seconds", "Time to solve it", plan.solve_s),
    ):
        yield GaugeMetricFamily(name, text, value)


def _rules(app: App) -> Iterator[Metric]:
    """What an admin wants to be called for: refused policies, and dispatches that the second look refused."""
    refused = app.signed_policies is not None and app.signed_policies.refusal is not None
    yield GaugeMetricFamily("csched_policies_refused", "1 while the folder of policies is not in force", float(refused))
    in_force = GaugeMetricFamily("csched_policies_in_force", "The set of policies in force", labels=["digest"])
    in_force.add_metric([app.policies.digest], 1.0)
    yield in_force
    counted = app.store.withdrawals()
    family = CounterMetricFamily(
        "csched_dispatches_refused", "Dispatches that the second look at the rules refused", labels=["why"]
    )
    family.add_metric(["disputed"], counted.disputed)
    family.add_metric(["outdated"], counted.outdated)
    yield family
    yield GaugeMetricFamily("csched_jobs_held_by_policy", "Jobs that wait for a person because of it", counted.held)


def _carbon(app: App) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "csched_carbon_intensity_g_per_kwh", "Intensity in use now", labels=["site", "zone", "source", "method"]
    )
    unknown = GaugeMetricFamily("csched_carbon_unknown", "1 while no intensity is known: the source cannot be read")
    try:
        outlook = outlook_now(app)
    except (InputError, Unavailable):  # an alarm that falls silent with its cause would be none
        unknown.add_metric([], 1.0)
        yield unknown
        return
    unknown.add_metric([], 0.0)
    yield unknown
    for line in sites_now(app, outlook):
        if line.g_per_kwh is not None:
            family.add_metric([line.site, line.zone, outlook.source, str(outlook.method)], line.g_per_kwh)
    yield family


def _saved(app: App) -> Iterator[Metric]:
    entries = app.store.ledger()
    for name, text, value in (
        ("csched_ended_jobs", "Ended jobs in the ledger", len(entries)),
        ("csched_energy_kwh", "Energy of ended jobs, PUE included", sum(entry.kwh for entry in entries)),
        ("csched_carbon_kg", "kgCO2e of ended jobs", sum(entry.carbon_kg + entry.egress_kg for entry in entries)),
        ("csched_saved_kg", "kgCO2e saved against at once, at home", sum(entry.saved_kg for entry in entries)),
    ):
        yield GaugeMetricFamily(name, text, value)
