"""NVML without a GPU: an object with NVML's C functions, in their calling order, that pynvml takes for the library.

pynvml's own marshalling and errors are exercised, no compiler is needed, and a function that is not here is one that
an old driver lacks. Profiles are real machines' figures; faults are added on top:

    with installed(PROFILES["H100"]): ...
    with installed(replace(PROFILES["A100"], lost=frozenset({3}))): ...
"""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import pynvml

_SUCCESS: Final = pynvml.NVML_SUCCESS
_INVALID: Final = pynvml.NVML_ERROR_INVALID_ARGUMENT
_NOT_SUPPORTED: Final = pynvml.NVML_ERROR_NOT_SUPPORTED
_NOT_FOUND: Final = pynvml.NVML_ERROR_NOT_FOUND
_LOST: Final = pynvml.NVML_ERROR_GPU_IS_LOST
_SLICE: Final = 1000  # handles of MIG slices begin above those of any GPU
_SLICES_A_GPU: Final = 10
_ABOVE_THE_BYTE: Final = 0x7F5A0000  # what lies beside the one byte of the fabric's state that C defines
_FABRIC_VERSIONS: Final = (0x02000024, 0x03000028)


@dataclass(frozen=True)
class Profile:
    """One node as NVML shows it."""

    name: str
    gpus: int
    memory_mib: int
    links: int = 0
    """NVLinks of each GPU; on a mesh they are shared evenly among the others."""
    mesh: bool = False
    mb_per_s: int = 0
    fabric_uuid: bytes | None = None
    """null: the GPU is older than fabrics. All zero on a machine without a multi-node fabric."""
    fabric_state: int = pynvml.NVML_GPU_FABRIC_STATE_COMPLETED
    clique: int = 0
    tray: int | None = None
    module_power_w: float | None = None
    """Of GPU and Grace CPU together."""
    gpu_power_w: float = 70.0
    gpus_a_numa_node: int = 4
    slices: tuple[int, ...] = ()
    """Indices of MIG slices on each GPU, with holes; empty is MIG off."""
    lost: frozenset[int] = frozenset()
    driver_loaded: bool = True
    library_found: bool = True
    missing: frozenset[str] = frozenset()
    """C functions that this driver lacks."""


_NVL72_UUID: Final = bytes(range(1, 17))

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "A100": Profile("NVIDIA A100-SXM4-40GB", 8, 40_960, links=12, mb_per_s=25_781),
        "H100": Profile("NVIDIA H100 80GB HBM3", 8, 81_559, links=18, mb_per_s=26_562, fabric_uuid=bytes(16)),
        "B200": Profile("NVIDIA B200", 8, 183_359, links=18, mb_per_s=53_125, fabric_uuid=bytes(16)),
        "GB200": Profile(
            "NVIDIA GB200", 4, 189_471, links=18, mb_per_s=53_125, fabric_uuid=_NVL72_UUID, clique=2, tray=4,
            module_power_w=467.0, gpus_a_numa_node=2,
        ),
        "GH200": Profile(
            "NVIDIA GH200 120GB", 4, 97_871, links=18, mesh=True, mb_per_s=26_562, fabric_uuid=bytes(16),
            fabric_state=pynvml.NVML_GPU_FABRIC_STATE_NOT_SUPPORTED, module_power_w=250.0, gpus_a_numa_node=1,
        ),
        "MIG": Profile("NVIDIA A100-SXM4-40GB", 2, 40_960, slices=(0, 2, 3), gpus_a_numa_node=2),
    }
)  # fmt: skip


@contextmanager
def installed(profile: Profile) -> Iterator["StandInNvml"]:
    """Let pynvml find this machine; whatever it had loaded before is put back at the end."""
    library = StandInNvml(profile)
    before = (pynvml.nvmlLib, pynvml._nvmlLib_refcount, pynvml.CDLL)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib, pynvml._nvmlLib_refcount = (library if profile.library_found else None), 0
    pynvml.CDLL = _no_library
    try:
        yield library
    finally:
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib, pynvml._nvmlLib_refcount, pynvml.CDLL = before


def _no_library(name: str) -> None:
    raise OSError(f"{name}: cannot open shared object file")


@dataclass
class StandInNvml:
    """The library: methods take what C takes and write through the references they are given."""

    profile: Profile
    started: int = field(default=0)
    """nvmlInit less nvmlShutdown: 0 again once a caller has cleaned up."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in object.__getattribute__(self, "profile").missing:
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def nvmlInitWithFlags(self, _flags: int) -> int:
        if not self.profile.driver_loaded:
            return int(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        self.started += 1
        return int(_SUCCESS)

    def nvmlShutdown(self) -> int:
        self.started -= 1
        return int(_SUCCESS)

    def nvmlSystemGetDriverVersion(self, buffer: Any, _size: Any) -> int:
        buffer.value = b"580.105.08"
        return int(_SUCCESS)

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = self.profile.gpus
        return int(_SUCCESS)

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        number = index.value
        if number >= self.profile.gpus:
            return int(_INVALID)
        if number in self.profile.lost:
            return int(_LOST)
        _write_handle(handle, number + 1)
        return int(_SUCCESS)

    def nvmlDeviceGetName(self, handle: Any, buffer: Any, _size: Any) -> int:
        buffer.value = self.profile.name.encode()
        return self._answer(handle)

    def nvmlDeviceGetUUID(self, handle: Any, buffer: Any, _size: Any) -> int:
        number = _number(handle)
        prefix = "MIG" if number >= _SLICE else "GPU"
        buffer.value = f"{prefix}-00000000-0000-0000-0000-{number:012d}".encode()
        return int(_SUCCESS)

    def nvmlDeviceGetMinorNumber(self, handle: Any, minor: Any) -> int:
        minor._obj.value = self._gpu(handle)
        return self._answer(handle)

    def nvmlDeviceGetPciInfo_v3(self, handle: Any, info: Any) -> int:
        info._obj.busId = _bus_id(self._gpu(handle))
        return self._answer(handle)

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        slices = len(self.profile.slices) if _number(handle) >= _SLICE else 1
        memory._obj.total = self.profile.memory_mib * 2**20 // slices
        return int(_SUCCESS)

    def nvmlDeviceGetTopologyCommonAncestor(self, one: Any, other: Any, level: Any) -> int:
        size = self.profile.gpus_a_numa_node
        near = self._gpu(one) // size == self._gpu(other) // size
        level._obj.value = pynvml.NVML_TOPOLOGY_NODE if near else pynvml.NVML_TOPOLOGY_SYSTEM
        return int(_SUCCESS)

    def nvmlDeviceGetP2PStatus(self, _one: Any, _other: Any, index: int, status: Any) -> int:
        if not isinstance(index, int):
            raise ctypes.ArgumentError("argument 3: TypeError: 'tuple' object cannot be interpreted as an integer")
        mig = bool(self.profile.slices)
        status._obj.value = pynvml.NVML_P2P_STATUS_NOT_SUPPORTED if mig else pynvml.NVML_P2P_STATUS_OK
        return int(_SUCCESS)

    def nvmlDeviceGetNvLinkState(self, handle: Any, link: int, active: Any) -> int:
        if not self.profile.links:
            return int(_NOT_SUPPORTED)
        if link >= self.profile.links:
            return int(_INVALID)
        active._obj.value = 1
        return self._answer(handle)

    def nvmlDeviceGetNvLinkRemoteDeviceType(self, _handle: Any, _link: int, kind: Any) -> int:
        gpu, switch = pynvml.NVML_NVLINK_DEVICE_TYPE_GPU, pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH
        kind._obj.value = gpu if self.profile.mesh else switch
        return int(_SUCCESS)

    def nvmlDeviceGetNvLinkRemotePciInfo_v2(self, handle: Any, link: int, info: Any) -> int:
        if self.profile.mesh:
            others = [gpu for gpu in range(self.profile.gpus) if gpu != self._gpu(handle)]
            info._obj.busId = _bus_id(others[link % len(others)])
        elif self.profile.tray is None:
            info._obj.busId = b"00000000:%02X:00.0" % (0xF0 + link % 4)
        else:
            info._obj.busId = b""  # the switch is in another tray
        return int(_SUCCESS)

    def nvmlDeviceGetGpuFabricInfoV(self, handle: Any, info: Any) -> int:
        reading = info._obj
        if self.profile.fabric_uuid is None:
            return int(_NOT_SUPPORTED)
        if reading.version not in _FABRIC_VERSIONS:
            return int(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
        ctypes.memmove(reading.clusterUuid, self.profile.fabric_uuid, 16)
        reading.cliqueId = self.profile.clique
        reading.state = _ABOVE_THE_BYTE | self.profile.fabric_state
        return self._answer(handle)

    def nvmlDeviceGetPlatformInfo(self, handle: Any, info: Any) -> int:
        if self.profile.tray is None:
            return int(_NOT_SUPPORTED)
        reading = info._obj
        reading.chassisSerialNumber = b"1820000000001"
        reading.slotNumber, reading.trayIndex, reading.hostId = b"\x0e", bytes([self.profile.tray]), b"\x01"
        reading.moduleId = bytes([self._gpu(handle) + 1])
        return int(_SUCCESS)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, millijoules: Any) -> int:
        millijoules._obj.value = 2**33 + self._gpu(handle)  # more than 32 bits hold
        return self._answer(handle)

    def nvmlDeviceGetPowerUsage(self, handle: Any, milliwatts: Any) -> int:
        milliwatts._obj.value = round(self.profile.gpu_power_w * 1000)
        return self._answer(handle)

    def nvmlDeviceGetFieldValues(self, handle: Any, _count: Any, values: Any) -> int:
        for value in values._obj:
            found = self._field(value.fieldId, value.scopeId)
            value.nvmlReturn = _SUCCESS if found is not None else _NOT_SUPPORTED
            value.valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
            value.value.uiVal = found or 0
        return self._answer(handle)

    def nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:
        current._obj.value = pending._obj.value = bool(self.profile.slices)
        return self._answer(handle)

    def nvmlDeviceGetMaxMigDeviceCount(self, _handle: Any, count: Any) -> int:
        count._obj.value = 7
        return int(_SUCCESS)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: Any, part: Any) -> int:
        if index.value not in self.profile.slices:
            return int(_NOT_FOUND)
        _write_handle(part, _SLICE + self._gpu(handle) * _SLICES_A_GPU + index.value)
        return int(_SUCCESS)

    def _field(self, field_id: int, scope: int) -> int | None:
        if field_id == pynvml.NVML_FI_DEV_NVLINK_GET_SPEED:
            return self.profile.mb_per_s if scope < self.profile.links else None
        if field_id == pynvml.NVML_FI_DEV_POWER_INSTANT:
            watts = self.profile.module_power_w if scope else self.profile.gpu_power_w
            return round(watts * 1000) if watts is not None else None
        return None

    def _gpu(self, handle: Any) -> int:
        number = _number(handle)
        return (number - _SLICE) // _SLICES_A_GPU if number >= _SLICE else number - 1

    def _answer(self, handle: Any) -> int:
        return int(_SUCCESS if self._gpu(handle) < self.profile.gpus else _INVALID)


def _number(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _write_handle(handle: Any, number: int) -> None:
    ctypes.cast(ctypes.pointer(handle._obj), ctypes.POINTER(ctypes.c_void_p))[0] = number


def _bus_id(gpu: int) -> bytes:
    return b"00000000:%02X:00.0" % (0x10 + gpu)
