"""The dashboard as HTML: the same lines that the commands print. Templates are files; all text is escaped."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from csched.accounting.aggregation import total
from csched.domain.ledger import LedgerEntry
from csched.domain.plan import Plan
from csched.report.accounts import footnotes, line_row
from csched.report.jobs import QUEUE_COLUMNS, queue_rows
from csched.report.plans import headline
from csched.report.rendering import Table, printable
from csched.report.sites import SITE_COLUMNS, SiteLine, site_row
from csched.report.words import moment
from csched.store.records import JobRecord


def dashboard(
    *,
    user: str,
    now: datetime,
    records: Sequence[JobRecord],
    plan: Plan | None,
    sites: Sequence[SiteLine],
    carbon: str,
    entries: Sequence[LedgerEntry],
    errors: Mapping[str, str],
) -> str:
    """Queue, sites with their carbon of now, the newest plan and what was saved, as one page without any script."""
    queue = Table(QUEUE_COLUMNS, queue_rows(records, plan))
    saved = line_row(total(entries))
    return (
        _templates()
        .get_template("dashboard.html")
        .render(
            user=user,
            now=moment(now),
            queue=queue,
            sites=Table(SITE_COLUMNS, [site_row(line) for line in sites]),
            carbon=carbon,
            plan=headline(plan) if plan else None,
            plan_at=moment(plan.now) if plan else None,
            warnings=plan.warnings if plan else (),
            figures=[("Jobs ended", saved[1]), ("kWh", saved[3]), ("kgCO2e", saved[4]), ("kg saved", saved[6])],
            footnotes=footnotes(entries),
            errors=errors,
        )
    )


def login_form(problem: str | None = None) -> str:
    return _templates().get_template("login.html").render(problem=problem)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("csched.report"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    return environment
