import json

import numpy as np
import pytest
import torch

from rtsmap.network import mvitv2
from tests import golden

FIXTURE = json.loads(golden.FIXTURE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def network():
    network = mvitv2.MViT(**FIXTURE["network"]).eval()
    golden.fill(network)
    return network


@pytest.mark.parametrize("attention", ["attend_with_matrix", "attend_without_matrix"])
@pytest.mark.parametrize("size", golden.SIZES, ids=lambda size: golden.label(*size))
def test_features_are_those_of_detectron2(network, size, attention, monkeypatch):
    monkeypatch.setattr(mvitv2, "attend_with_matrix", getattr(mvitv2, attention))  # the other one is that of GPUs
    with torch.inference_mode():
        maps = network(golden.image(*size))
    expected = FIXTURE["outputs"][golden.label(*size)]
    assert list(maps) == list(expected) == ["scale2", "scale3", "scale4", "scale5"]
    for name, features in maps.items():
        found, wanted = golden.summary(name, features), expected[name]
        assert (found["shape"], found["indices"]) == (wanted["shape"], wanted["indices"])
        for key in ("mean", "deviation", "values"):
            np.testing.assert_allclose(found[key], wanted[key], rtol=1e-4, atol=1e-4 * wanted["deviation"])


def test_parameters_of_mvitv2_t_have_detectron2_s_names_and_shapes():
    with torch.device("meta"):
        network = mvitv2.MViT(**FIXTURE["network_t"])
    assert golden.fingerprint(network) == FIXTURE["parameters_t"]


def test_few_rows_and_many_are_projected_alike():
    weight, bias = torch.randn(5, 24), torch.randn(5)
    for shape in ((1, 15, 7, 24), (2, 8, 7, 24), (40, 3, 24), (1, 600, 24)):  # (n, h, w, c), (n, tokens, c)
        tokens = torch.randn(shape)
        expected = torch.nn.functional.linear(tokens, weight, bias)
        torch.testing.assert_close(mvitv2.project(tokens, weight, bias), expected)
