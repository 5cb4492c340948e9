"""Where a gang can be placed: the partitions of the sites, and what of them is reserved for some jobs."""

from collections.abc import Iterator
from dataclasses import dataclass

from csched.domain.hardware import Hardware
from csched.domain.site import Partition, Reservation, Site
from csched.domain.snapshot import Snapshot


@dataclass(frozen=True)
class Room:
    """One partition of one site, or the part of it that is reserved: the unit in which a gang is placed."""

    site: Site
    site_index: int
    partition: Partition
    hardware: Hardware
    reservation: Reservation | None = None

    @property
    def key(self) -> str:
        whole = f"{self.site.id}/{self.partition.name}"
        return whole if self.reservation is None else f"{whole}/{self.reservation.name}"

    @property
    def gpus(self) -> int:
        """When nothing else is set aside and nothing runs."""
        whole = self.partition.gpu_count(self.hardware)
        return whole if self.reservation is None else min(whole, self.reservation.gpus or whole)


def rooms_of(snapshot: Snapshot) -> tuple[Room, ...]:
    """In the order of the fleet: each partition, and behind it its reservations in theirs."""
    return tuple(_rooms(snapshot))


def _rooms(snapshot: Snapshot) -> Iterator[Room]:
    for index, site in enumerate(snapshot.fleet.sites):
        for partition in site.partitions:
            hardware = snapshot.hardware[partition.hardware]
            yield Room(site, index, partition, hardware)
            for reservation in snapshot.fleet.reservations_at(site.id, partition.name):
                if not reservation.maintenance:
                    yield Room(site, index, partition, hardware, reservation)
