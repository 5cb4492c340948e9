"""From what a user writes after `--carbon` to a source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from csched.carbon.climatology import NAME, Climatology
from csched.domain.carbon import CarbonRisk, Method
from csched.errors import InputError, Where
from csched.ports import CarbonSource


class ListedSource(CarbonSource, Protocol):
    """A source that can say beforehand what it has."""

    @property
    def method(self) -> Method: ...

    def zones(self) -> Sequence[str]: ...


def open_source(spec: str, risk: CarbonRisk = CarbonRisk.EXPECTED) -> ListedSource:
    """The word `climatology`, a CSV file (plain or .gz), or a folder of them; `risk` says by which end of forecasts.

    Raises:
        InputError: neither the word nor anything that exists, or the high end of a climatology, which has none.
    """
    if spec == NAME and risk != CarbonRisk.EXPECTED:
        raise InputError(
            f"a climatology has no forecasts, hence no `{risk}` end of them",
            hint="give forecasts with a column `high`, or plan by `expected`",
            where=Where(field="carbon_risk"),
        )
    if spec == NAME:
        return Climatology()
    path = Path(spec)
    if not spec.strip() or not path.exists():  # nothing at all would be the folder one stands in
        raise InputError(
            f"`{spec}` is neither a file nor a folder",
            hint="give a CSV file, a folder of them or the word `climatology`",
            where=Where(field="carbon"),
        )
    from csched.carbon.csv_source import CsvSource  # noqa: PLC0415 # reads with pyarrow, which climatology needs not

    return CsvSource(path, risk)
