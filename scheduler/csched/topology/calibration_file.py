"""What nccl-tests measured here, kept by kind of hardware and put before the cost model's defaults.

schema: csched/calibration/1
hardware:
  dgx-h100: [{medium: nvlink, share: 0.81, latency_s: 6.2e-06}]
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from csched.domain.base import Slug, Value
from csched.domain.hardware import Measured
from csched.domain.site import Fleet
from csched.errors import InputError, Where
from csched.formats.files import read_text
from csched.formats.validation import input_error
from csched.formats.yaml_document import load_document
from csched.topology.calibration import Calibration
from csched.topology.catalogue import hardware_of


class Calibrations(Value):
    schema_: Literal["csched/calibration/1"] = Field(default="csched/calibration/1", alias="schema")
    hardware: Mapping[Slug, tuple[Measured, ...]] = {}


def read_calibrations(file: Path) -> Calibrations:
    """What is kept there; nothing where there is no such file.

    Raises:
        InputError: not such a file, with line and field.
    """
    if not file.exists():
        return Calibrations()
    document = load_document(read_text(file), str(file))
    try:
        return Calibrations.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, Calibrations) from error


def keep(file: Path, found: Calibration) -> None:
    """Put a run into the file, in place of what it says of that medium of that hardware.

    Raises:
        InputError: a medium that no job's step is reckoned with, or a file that cannot be written.
    """
    try:
        new = Measured.model_validate(
            {
                "medium": found.medium.value,
                "share": found.efficiency.share,
                "latency_s": found.efficiency.latency_s,
            }
        )
    except ValidationError as error:
        raise input_error(error, lambda _: Where(str(file)), Measured) from error
    known = dict(read_calibrations(file).hardware)
    others = [each for each in known.get(found.hardware, ()) if each.medium != new.medium]
    known[found.hardware] = tuple(sorted((*others, new), key=lambda each: each.medium))
    text = yaml.safe_dump(Calibrations(hardware=known).model_dump(mode="json", by_alias=True), sort_keys=False)
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise InputError(f"the calibration cannot be kept: {error.strerror}", where=Where(str(file))) from error


def calibrated(fleet: Fleet, calibrations: Calibrations) -> Fleet:
    """The fleet with what was measured as part of its own kinds of hardware; other kinds are passed over."""
    known = hardware_of(fleet)
    own = {
        key: known[key].model_copy(update={"measured": measured})
        for key, measured in calibrations.hardware.items()
        if key in known
    }
    return fleet.model_copy(update={"hardware": {**fleet.hardware, **own}}) if own else fleet
