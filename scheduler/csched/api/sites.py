"""The sites as they are now, for the API and the dashboard."""

from datetime import timedelta

from csched.app import App
from csched.domain.carbon import CarbonOutlook
from csched.report.sites import SiteLine, site_lines


def outlook_now(app: App) -> CarbonOutlook:
    """Raises InputError or Unavailable where the carbon source cannot be read."""
    now = app.clock.now()
    zones = sorted({site.grid_zone for site in app.fleet.sites})
    return app.carbon.outlook(zones, now, now, now + timedelta(hours=1))


def sites_now(app: App, outlook: CarbonOutlook | None) -> tuple[SiteLine, ...]:
    drained = {drain.site: drain.reason for drain in app.store.drains()}
    return site_lines(app.fleet, app.hardware, outlook, drained, app.clock.now())
