"""The sites as they are now, for the API and the dashboard."""

from datetime import timedelta

from csched.app import App
from csched.domain.carbon import CarbonOutlook
from csched.report.sites import SiteLine, site_lines


def sites_now(app: App) -> tuple[tuple[SiteLine, ...], CarbonOutlook]:
    """Raises Unavailable where the carbon source does not answer."""
    now = app.clock.now()
    zones = sorted({site.grid_zone for site in app.fleet.sites})
    outlook = app.carbon.outlook(zones, now, now, now + timedelta(hours=1))
    drained = {drain.site: drain.reason for drain in app.store.drains()}
    return site_lines(app.fleet, app.hardware, outlook, drained, now), outlook
