"""Reservations that together set more GPUs aside than a partition has: each was promised what not all can have."""

from collections.abc import Mapping

from csched.clock import format_instant
from csched.domain.hardware import Hardware
from csched.domain.site import Fleet, Partition, Reservation
from csched.errors import InputError, Where


def refuse_overbooking(fleet: Fleet, hardware: Mapping[str, Hardware]) -> None:
    """Maintenance is no promise: it takes from the reservations whatever it needs, and is passed over here.

    Raises:
        InputError: naming the first reservation from whose beginning on a partition is overbooked.
    """
    for index, begun in enumerate(fleet.reservations):
        partitions = [each for each in fleet.site(begun.site).partitions if begun.partition in {None, each.name}]
        for partition in () if begun.maintenance else partitions:
            whole = partition.gpu_count(hardware[partition.hardware])
            beside = [
                each
                for each in fleet.reservations_at(begun.site, partition.name)
                if not each.maintenance and each.from_ <= begun.from_ < each.to
            ]
            aside = sum(_gpus(each, partition, whole) for each in beside)
            if aside > whole:
                others = ", ".join(f"`{each.name}`" for each in beside if each is not begun)
                raise InputError(
                    f"reservation `{begun.name}`{f' together with {others}' if others else ''} sets {aside} GPUs of "
                    f"{begun.site}/{partition.name} aside from {format_instant(begun.from_)} on, which has {whole}",
                    hint="reserve fewer GPUs, or at another time",
                    where=Where(field=f"reservations[{index}]"),
                )


def _gpus(reservation: Reservation, partition: Partition, whole: int) -> int:
    """GPUs set aside in one partition; one for all partitions of a site takes of a small one what it has."""
    wanted = reservation.gpus or whole
    return wanted if reservation.partition == partition.name else min(wanted, whole)
