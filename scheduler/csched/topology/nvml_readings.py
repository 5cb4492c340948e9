"""What NVML says of one node's GPUs, read by pynvml around every trap that is known of it.

A GPU that is lost, a function that an older driver lacks or a question that the hardware does not answer is data
here, never a crash; a machine without driver or library simply has no GPUs.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pynvml

T = TypeVar("T")

_P2P_READ: Final = 0  # NVML_P2P_CAPS_INDEX_READ is the tuple (0,) in pynvml, which ctypes refuses
_FABRIC_COMPLETED: Final = pynvml.NVML_GPU_FABRIC_STATE_COMPLETED
_MODULE, _GPU = 1, 0
_UNION_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


@dataclass(frozen=True)
class LinkReading:
    """One active NVLink."""

    to_switch: bool | None
    """null: the driver does not say."""
    bus_id: str
    """Of the other end; empty or meaningless where that is a switch in another tray."""
    mb_per_s: int | None
    """One direction, protocol included; A100 25,781, H100 26,562, B200 53,125."""


@dataclass(frozen=True)
class FabricReading:
    completed: bool
    cluster_uuid: str
    clique_id: int


@dataclass(frozen=True)
class MigReading:
    uuid: str
    memory_mib: int | None


@dataclass(frozen=True)
class PlatformReading:
    chassis: str
    slot: int
    tray: int
    host: int
    module: int


@dataclass(frozen=True)
class GpuReading:
    index: int
    uuid: str
    name: str
    bus_id: str
    minor: int | None
    """The N of /dev/nvidiaN."""
    memory_mib: int | None
    links: tuple[LinkReading, ...]
    fabric: FabricReading | None
    mig: tuple[MigReading, ...] | None
    """The slices; null where MIG is off or unknown to the GPU."""
    platform: PlatformReading | None
    energy_mj: int | None
    """Since the driver was loaded; null where there is no counter."""
    power_w: float | None
    power_of_module: bool
    """True where the power includes the Grace CPU beside the GPU."""


@dataclass(frozen=True)
class NodeReading:
    driver: str | None
    gpus: tuple[GpuReading, ...]
    closeness: dict[tuple[int, int], int]
    """Indices of two GPUs -> NVML's nvmlGpuTopologyLevel_t."""
    no_p2p: tuple[tuple[int, int], ...]
    """Pairs that cannot read each other's memory."""
    remarks: tuple[str, ...]


def read_node() -> NodeReading:
    """Ask NVML about this machine. Never raises for what NVML answers; the remarks say what is missing."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return NodeReading(None, (), {}, (), (f"no GPUs that NVML can see: `{error}`",))
    try:
        return _Reader().read()
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


class _Reader:
    def __init__(self) -> None:
        self._remarks: dict[str, None] = {}

    def read(self) -> NodeReading:
        handles: dict[int, Any] = {}
        gpus: list[GpuReading] = []
        for index in range(self._ask(pynvml.nvmlDeviceGetCount) or 0):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                gpus.append(self._gpu(index, handle))
                handles[index] = handle
            except pynvml.NVMLError as error:
                self._remark(f"GPU {index} does not answer: `{error}`")
        pairs = [(one, other) for one in handles for other in handles if one < other]
        closeness = {
            pair: level
            for pair in pairs
            if (level := self._ask(pynvml.nvmlDeviceGetTopologyCommonAncestor, *(handles[end] for end in pair)))
            is not None
        }
        no_p2p = tuple(
            pair
            for pair in pairs
            if self._ask(pynvml.nvmlDeviceGetP2PStatus, *(handles[end] for end in pair), _P2P_READ)
            not in {None, pynvml.NVML_P2P_STATUS_OK}
        )
        driver = self._ask(pynvml.nvmlSystemGetDriverVersion)
        return NodeReading(driver, tuple(gpus), closeness, no_p2p, tuple(self._remarks))

    def _gpu(self, index: int, handle: Any) -> GpuReading:
        mig = self._mig(handle)
        power_w, of_module = self._power(handle)
        memory = self._ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
        return GpuReading(
            index=index,
            uuid=self._ask(pynvml.nvmlDeviceGetUUID, handle) or "",
            name=self._ask(pynvml.nvmlDeviceGetName, handle) or "",
            bus_id=_text(pynvml.nvmlDeviceGetPciInfo(handle).busId),  # a lost GPU raises here and is left out
            minor=self._ask(pynvml.nvmlDeviceGetMinorNumber, handle),
            memory_mib=memory.total // 2**20 if memory else None,
            links=tuple(self._links(handle)),
            fabric=self._fabric(handle),
            mig=mig,
            platform=self._platform(handle),
            energy_mj=self._ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle),
            power_w=power_w,
            power_of_module=of_module,
        )

    def _links(self, handle: Any) -> list[LinkReading]:
        """Active links up to the first number that the GPU does not know; their count differs by generation."""
        found: list[LinkReading] = []
        for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
            try:
                active = pynvml.nvmlDeviceGetNvLinkState(handle, link)
            except pynvml.NVMLError as error:
                self._note_missing(error, "nvmlDeviceGetNvLinkState")
                break
            if active:
                kind = self._ask(pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link)
                remote = self._ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
                known = {pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH: True, pynvml.NVML_NVLINK_DEVICE_TYPE_GPU: False}
                speed = self._field(handle, pynvml.NVML_FI_DEV_NVLINK_GET_SPEED, link)
                found.append(
                    LinkReading(
                        to_switch=known.get(kind) if kind is not None else None,
                        bus_id=_text(remote.busId) if remote else "",
                        mb_per_s=int(speed) if speed else None,
                    )
                )
        return found

    def _fabric(self, handle: Any) -> FabricReading | None:
        reading = pynvml.c_nvmlGpuFabricInfoV_t()
        if self._ask(pynvml.nvmlDeviceGetGpuFabricInfoV, handle, ctypes.byref(reading)) is None:
            return None
        state = reading.state & 0xFF  # an unsigned char in C, which pynvml reads as four bytes
        uuid = bytes(reading.clusterUuid).hex()
        dashed = "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]))
        return FabricReading(state == _FABRIC_COMPLETED, dashed, int(reading.cliqueId))

    def _mig(self, handle: Any) -> tuple[MigReading, ...] | None:
        mode = self._ask(pynvml.nvmlDeviceGetMigMode, handle)
        if not mode or not mode[0]:
            return None
        found: list[MigReading] = []
        for index in range(self._ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            try:
                part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            except pynvml.NVMLError:
                continue  # indices of slices have holes
            memory = self._ask(pynvml.nvmlDeviceGetMemoryInfo, part)
            uuid = self._ask(pynvml.nvmlDeviceGetUUID, part) or ""
            found.append(MigReading(uuid, memory.total // 2**20 if memory else None))
        return tuple(found)

    def _platform(self, handle: Any) -> PlatformReading | None:
        reading = pynvml.c_nvmlPlatformInfo_v2_t()
        if self._ask(pynvml.nvmlDeviceGetPlatformInfo, handle, ctypes.byref(reading)) is None:
            return None
        # One-byte numbers that pynvml reads as characters.
        slot, tray, host, module = (
            ord(getattr(reading, name)) for name in ("slotNumber", "trayIndex", "hostId", "moduleId")
        )
        return PlatformReading(_text(reading.chassisSerialNumber), slot, tray, host, module)

    def _power(self, handle: Any) -> tuple[float | None, bool]:
        """Watts now, of GPU and Grace CPU together where they are one module, else of the GPU."""
        for scope in (_MODULE, _GPU):
            milliwatts = self._field(handle, pynvml.NVML_FI_DEV_POWER_INSTANT, scope)
            if milliwatts:
                return milliwatts / 1000, scope == _MODULE
        milliwatts = self._ask(pynvml.nvmlDeviceGetPowerUsage, handle)
        return (milliwatts / 1000 if milliwatts is not None else None), False

    def _field(self, handle: Any, field: int, scope: int) -> float | None:
        values = self._ask(pynvml.nvmlDeviceGetFieldValues, handle, [(field, scope)])
        if not values or values[0].nvmlReturn != pynvml.NVML_SUCCESS:
            return None
        kind = values[0].valueType
        return float(getattr(values[0].value, _UNION_MEMBERS[kind])) if kind < len(_UNION_MEMBERS) else None

    def _ask(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """The answer, or null where there is none; a lost GPU is passed on, for nothing of it can be trusted."""
        try:
            return function(*arguments)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
                raise
            self._note_missing(error, function.__name__)
            return None

    def _note_missing(self, error: pynvml.NVMLError, name: str) -> None:
        if error.value == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            self._remark(f"this driver does not know {name}")
        elif error.value not in {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_INVALID_ARGUMENT}:
            self._remark(f"{name}: `{error}`")

    def _remark(self, text: str) -> None:
        self._remarks[text] = None


def _text(value: bytes | str) -> str:
    """Cut at the first NUL, which a fixed array of characters may lack."""
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).partition("\0")[0]
