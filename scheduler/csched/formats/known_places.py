"""Names in a job that must be names of the fleet: a misspelt one would only show in a bill, or never."""

from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean


def require_known_places(job: Job, fleet: Fleet) -> None:
    """Raises InputError for a site or a reservation that the fleet does not have."""
    sites = [site.id for site in fleet.sites]
    for field, site in (("home_site", job.home_site), ("data_site", job.data_site)):
        if site is not None and site not in sites:
            raise InputError(f"the fleet has no site `{site}`", hint=did_you_mean(site, sites), where=_option(field))
    if job.reservation is not None:
        require_known_reservation(job.reservation, fleet)


def require_known_reservation(name: str, fleet: Fleet) -> None:
    reservations = [reservation.name for reservation in fleet.reservations]
    if name not in reservations:
        hint = did_you_mean(name, reservations) or "the fleet file lists its reservations"
        raise InputError(f"the fleet has no reservation `{name}`", hint=hint, where=_option("reservation"))


def _option(field: str) -> Where:
    return Where(field=f"--{field.replace('_', '-')}")
