import subprocess

import pytest

from rtsmap.runtime import batching, machine
from rtsmap.runtime.batching import BYTES_PER_PIXEL, LARGEST, fitting
from rtsmap.runtime.machine import cores, network_threads, share_cores

GB = 10**9


@pytest.fixture
def bare(monkeypatch):
    """An environment that says nothing of threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "GDAL_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that monkeypatch puts the environment back afterwards
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(("text", "expected"), [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("", 8)])
def test_a_limit_of_the_container_counts(text, expected, tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores() == expected


def test_the_network_has_the_cores_and_other_libraries_one_thread(bare):
    assert share_cores() == cores() == network_threads()
    assert machine.os.environ["GDAL_NUM_THREADS"] == machine.os.environ["OPENBLAS_NUM_THREADS"] == "1"


def test_torch_s_other_library_is_left_alone(bare):
    share_cores(2)
    assert "MKL_NUM_THREADS" not in machine.os.environ  # with one thread for it torch would have one in all


def test_a_number_that_is_asked_for_goes_before_the_environment(bare):
    bare.setenv("OMP_NUM_THREADS", "7")
    assert share_cores() == 7
    assert share_cores(3) == 3


def test_what_the_user_has_set_for_another_library_stays(bare):
    bare.setenv("GDAL_NUM_THREADS", "ALL_CPUS")
    share_cores()
    assert machine.os.environ["GDAL_NUM_THREADS"] == "ALL_CPUS"


@pytest.mark.parametrize(("text", "expected"), [("5,1", 5), ("0", None), ("many", None)])
def test_lists_and_nonsense_in_the_environment(text, expected, bare):
    bare.setenv("OMP_NUM_THREADS", text)
    assert network_threads() == (expected or cores())


@pytest.mark.parametrize(
    ("threads", "free", "expected"),
    [
        (1, None, 1),
        (2, None, 2),
        (3, None, 3),
        (5, None, 1),
        (6, None, 3),
        (16, None, 4),
        (2, 4 * GB, 1),
        (2, 6 * GB, 2),
    ],
)
def test_on_a_cpu_chips_share_the_threads_evenly_and_half_of_the_memory(threads, free, expected, monkeypatch):
    monkeypatch.setattr(batching, "gpu_memory", lambda: 80 * GB)
    monkeypatch.setattr(batching, "free_memory", lambda: free)
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    execution = fitting("cpu", 1024)
    assert (execution.batch_size, execution.concurrency) == (1, expected)


@pytest.mark.parametrize(("free", "expected"), [(GB, 1), (20 * GB, 2), (500 * GB, LARGEST)])
def test_on_a_gpu_a_batch_takes_half_of_the_memory(free, expected, monkeypatch):
    monkeypatch.setattr(batching, "gpu_memory", lambda: free)
    execution = fitting("auto", 1024)
    assert (execution.batch_size, execution.concurrency) == (expected, 1)
    if 1 < expected < LARGEST:
        assert expected * BYTES_PER_PIXEL * 1024**2 <= free / 2


def test_free_memory_is_the_least_of_what_the_system_and_the_container_have(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    assert machine.free_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal:       8000000 kB\nMemAvailable:   5000000 kB\n")
    assert machine.free_memory() == 5_120_000_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000000000\n")
    assert machine.free_memory() == 5_120_000_000
    (tmp_path / "memory.max").write_text("3000000000\n")
    assert machine.free_memory() == 2_000_000_000


def test_the_driver_is_asked_of_the_gpu_that_is_visible(monkeypatch):
    asked = []

    def answer(command, **_):
        asked.extend(command)
        return subprocess.CompletedProcess(command, 0, stdout="40960\n")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setattr(batching.subprocess, "run", answer)
    assert batching.gpu_memory() == 40960 << 20
    assert asked[-2:] == ["-i", "2"]


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.CalledProcessError(9, "nvidia-smi")])
def test_without_a_gpu_there_is_no_memory(error, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(batching.subprocess, "run", fail)
    assert batching.gpu_memory() is None
