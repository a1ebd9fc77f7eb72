"""JSON that cannot be used is one clear line, wherever it is read."""

import pytest

from rtsmap.dataset import read_dataset
from rtsmap.dataset.from_coco import read_coco
from rtsmap.errors import InputError, RtsmapError
from rtsmap.evaluation.predictions import read_predictions
from rtsmap.files.json_files import read_json
from rtsmap.scene.metadata import read_json as read_metadata
from tests.datasets import labelled_image, write_images

DEEP = b"[" * 150_000 + b"]" * 150_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DEEP, "nested too deeply"),
        (b'{"a":' * 120_000 + b"1" + b"}" * 120_000, "nested too deeply"),
        ("{}".encode("utf-16"), "no UTF-8 text"),
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_json(tmp_path, content, message):
    path = tmp_path / "odd.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"odd\.json: .*{message}.*; write it again$") as raised:
        read_json(path, InputError, "write it again")
    assert "\n" not in str(raised.value)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json", InputError, "") == [1]


@pytest.mark.parametrize(
    "content",
    [DEEP, b'{"images":' + DEEP + b"}", b"null", b"7", b'"text"', b"[null]",
     b'{"images": [5], "annotations": [], "properties": 5}',
     b'{"images": [{"id": 1e999}], "annotations": [{"image_id": 1e999}], "properties": {"acquired": 7}}'],
)  # fmt: skip
def test_every_reader_ends_in_one_line(tmp_path, content):
    dataset = write_images(tmp_path / "set", [labelled_image()])
    odd = tmp_path / "odd" / "annotations.json"
    odd.parent.mkdir()
    odd.write_bytes(content)
    for read in (
        lambda: read_dataset(odd.parent),
        lambda: read_coco(odd),
        lambda: read_metadata(str(odd), content),
        lambda: read_predictions(odd, dataset),
    ):
        with pytest.raises(RtsmapError, match=r"annotations\.json: ") as raised:
            read()
        assert "\n" not in str(raised.value)


def test_a_check_ends_in_one_line(tmp_path, rtsmap):
    (tmp_path / "annotations.json").write_bytes(DEEP)
    code, _, err = rtsmap("dataset", "check", tmp_path)
    assert (code, "nested too deeply" in err, len(err.splitlines())) == (2, True, 1), err
