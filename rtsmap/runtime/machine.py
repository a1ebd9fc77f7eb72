"""The cores and the memory that this process may use, and how libraries share the cores."""

import os
import platform
import resource
import sys
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")  # limits of containers and of SLURM jobs
_QUOTA = _GROUP / "cpu.max"  # microseconds of CPU per period, or max
_MEMORY = Path("/proc/meminfo")
_CPU = Path("/proc/cpuinfo")
_FLAGS = ("flags", "Features")  # of x86 and of ARM in /proc/cpuinfo

#: Variables that set the number of threads of libraries. OpenMP's is that of torch and of MKL; MKL's own is not set,
#: because torch would then use one thread. numpy's OpenBLAS has little to do beside the network. GDAL decodes while
#: the network computes, and the network needs the cores.
_OF_THE_NETWORK = "OMP_NUM_THREADS"
_OTHERS = ("OPENBLAS_NUM_THREADS", "GDAL_NUM_THREADS")


def cores() -> int:
    """Number of cores that this process may use, as SLURM, taskset or the limit of a container allow."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        limit = allowed if quota == "max" else int(quota) // int(period)
    except (OSError, ValueError):  # no such control group
        return allowed
    return max(1, min(allowed, limit))


def free_memory() -> int | None:
    """Memory that this process may still use, in bytes, as the limit of a container allows; None if it is unknown."""
    try:
        fields = dict(line.split(":", 1) for line in _MEMORY.read_text(encoding="utf-8").splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # another system
        return None
    try:
        limit, taken = ((_GROUP / name).read_text() for name in ("memory.max", "memory.current"))
        return free if limit.strip() == "max" else max(0, min(free, int(limit) - int(taken)))
    except (OSError, ValueError):  # no such control group
        return free


def share_cores(threads: int | None = None) -> int:
    """Give all cores to the network and one thread to every other library.

    Call it before any of these libraries is imported. Numbers that are set in the environment already are kept.

    Args:
        threads: number of threads of the network; one for each core without it.

    Returns:
        The number of threads of the network.
    """
    for name in _OTHERS:
        os.environ.setdefault(name, "1")
    if threads is not None:
        os.environ[_OF_THE_NETWORK] = str(threads)
    os.environ.setdefault(_OF_THE_NETWORK, str(cores()))
    return network_threads()


def network_threads() -> int:
    """Number of threads that the network may use, for runtimes that do not read `OMP_NUM_THREADS` themselves."""
    wanted = os.environ.get(_OF_THE_NETWORK, "").partition(",")[0]  # a list gives the threads of nested regions
    return int(wanted) if wanted.isdigit() and int(wanted) else cores()


def cpu_model() -> str:
    """Name of the processor."""
    try:
        lines = _CPU.read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # another system, or another kind of processor
        return platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Features of the processor as Linux names them, such as `avx512_bf16` or `bf16`; empty on other systems."""
    try:
        lines = _CPU.read_text(encoding="utf-8").splitlines()
        return frozenset(next(line.partition(":")[2] for line in lines if line.startswith(_FLAGS)).split())
    except (OSError, StopIteration):  # another system, or another kind of processor
        return frozenset()


def peak_memory_mb() -> float:
    """Peak memory of this process so far, 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
