"""What an admin wants to know of the sites' agents: which has not called, and which has raised an alarm."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from csched.app import App

SILENT_AFTER: Final = timedelta(minutes=5)
"""An agent asks for orders every 20 seconds."""


def sites_in_trouble(app: App) -> list[str]:
    """`agent:SITE` for each agent that is silent, or whose alarm nobody has looked into."""
    now = app.clock.now()
    return [
        f"agent:{agent.site}"
        for agent in app.store.mailboxes.agents()
        if agent.alarm is not None or now - agent.seen > SILENT_AFTER
    ]


def agents_metrics(app: App) -> Iterator[Metric]:
    alarm = GaugeMetricFamily("csched_agent_alarm", "1 while an alarm of the site's agent stands", labels=["site"])
    seen = GaugeMetricFamily("csched_agent_seen_timestamp_seconds", "When the agent called last", labels=["site"])
    for agent in app.store.mailboxes.agents():
        alarm.add_metric([agent.site], float(agent.alarm is not None))
        seen.add_metric([agent.site], agent.seen.timestamp())
    yield alarm
    yield seen
