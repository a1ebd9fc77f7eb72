"""What a program has of its machine: cores and memory; and how its libraries share the cores."""

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

#: Threads of the libraries that compute. OpenMP's are torch's; MKL's too, so none are set: with one, torch has one.
#: numpy's OpenBLAS has hardly anything to do beside the network, and GDAL decodes ahead of the network, which wants the
#: cores for itself.
_OF_THE_NETWORK = "OMP_NUM_THREADS"
_OTHERS = ("OPENBLAS_NUM_THREADS", "GDAL_NUM_THREADS")


def cores() -> int:
    """Cores that this process may use: fewer than the machine's under SLURM, taskset or a container's limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        limit = allowed if quota == "max" else int(quota) // int(period)
    except (OSError, ValueError):  # no such control group
        return allowed
    return max(1, min(allowed, limit))


def free_memory() -> int | None:
    """Bytes that this process may still take: what the system has, or less in a container; None where nothing says."""
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
    """Give the cores to the network, and one thread to each other library; call it before any of them is imported.

    Numbers that the environment sets already stay as they are.

    Args:
        threads: of the network; as many as there are cores without it.

    Returns:
        Threads of the network.
    """
    for name in _OTHERS:
        os.environ.setdefault(name, "1")
    if threads is not None:
        os.environ[_OF_THE_NETWORK] = str(threads)
    os.environ.setdefault(_OF_THE_NETWORK, str(cores()))
    return network_threads()


def network_threads() -> int:
    """Threads that the network may use, for runtimes that do not read `OMP_NUM_THREADS` themselves."""
    wanted = os.environ.get(_OF_THE_NETWORK, "").partition(",")[0]  # a list gives the threads of nested regions
    return int(wanted) if wanted.isdigit() and int(wanted) else cores()


def cpu_model() -> str:
    """The processor's name."""
    try:
        lines = _CPU.read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # another system, or another kind of processor
        return platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """What the processor can do, in the words of Linux, such as `avx512_bf16` or `bf16`; empty on other systems."""
    try:
        lines = _CPU.read_text(encoding="utf-8").splitlines()
        return frozenset(next(line.partition(":")[2] for line in lines if line.startswith(_FLAGS)).split())
    except (OSError, StopIteration):  # another system, or another kind of processor
        return frozenset()


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
