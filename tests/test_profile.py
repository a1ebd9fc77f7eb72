import json
import threading
import time

import pytest

from rtsmap.runtime.profile import QUANTILES, THREADS, Profile


def burn(seconds):
    """Use the processor for this long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_stage_has_the_time_of_all_its_calls():
    profile = Profile()
    for _ in range(2):
        with profile.stage("prepare"):
            burn(0.02)
            time.sleep(0.02)
    stage = profile.stages["prepare"]
    assert stage.calls == 2
    assert stage.cpu_s == pytest.approx(0.04, abs=0.02)
    assert stage.wall_s > 0.07


def test_a_stage_that_fails_is_counted_too():
    profile = Profile()
    with pytest.raises(ValueError, match="broken"), profile.stage("read"):
        raise ValueError("broken")
    assert profile.stages["read"].calls == 1


def test_making_items_counts_and_using_them_does_not():
    profile = Profile()

    def slow():
        for number in range(3):
            burn(0.02)
            yield number

    for _ in profile.timed("read", slow()):
        burn(0.1)
    assert 0.06 <= profile.stages["read"].cpu_s < 0.15


def test_a_batch_is_shared_among_its_chips():
    profile = Profile()
    with profile.network(4):
        time.sleep(0.04)
    assert len(profile.chip_s) == 4
    assert sum(profile.chip_s) >= 0.04
    assert set(profile.quantiles()) == set(QUANTILES)


def test_cpu_time_of_the_runtime_s_own_threads_is_the_network_s():
    profile = Profile()
    with profile.stage("read"):
        burn(0.02)
    with profile.network(1):
        worker = threading.Thread(target=burn, args=(0.1,))
        worker.start()
        worker.join()
    stages = profile.report()["stages"]
    assert profile.stages["network"].cpu_s < 0.05
    assert stages["network"]["cpu_s"] >= 0.1
    assert stages["read"]["cpu_s"] < 0.1


def test_the_report_is_written_as_json_with_every_stage_and_thread(tmp_path):
    profile = Profile()
    profile.windows = 3
    with profile.network(1):
        pass
    profile.write(tmp_path / "profile.json", command="rtsmap predict")
    report = json.loads((tmp_path / "profile.json").read_text())
    assert next(iter(report)) == "command"
    assert report["chips"] == {"computed": 1, "without_clear_pixels": 2}
    assert set(report["stages"]) == {stage for stages in THREADS.values() for stage in stages}
    assert set(report["threads"]) == set(THREADS)
    assert report["peak_memory_mb"] > 10
    assert "1 chips" in profile.summary()


def test_without_chips_there_are_no_quantiles():
    assert Profile().report()["network_s_per_chip"] == {}
