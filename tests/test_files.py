import pytest

from rtsmap.errors import OutputError
from rtsmap.files.writing import replacing, sha256


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "layer.gpkg"
    with replacing(target) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".gpkg"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_file_stays_when_writing_fails(tmp_path):
    target = tmp_path / "layer.gpkg"
    target.write_text("old")

    def write_half():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_disk_is_an_output_error_that_names_the_file(tmp_path):
    with (
        pytest.raises(OutputError, match=r"layer\.gpkg: cannot be written \(No space left"),
        replacing(tmp_path / "layer.gpkg"),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_sha256(tmp_path):
    (tmp_path / "abc").write_text("abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
