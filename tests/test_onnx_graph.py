"""The exported graph: nothing to find is no error, and nothing is computed in vain."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtsmap.models import find_model
from rtsmap.network.exporting import export_onnx
from rtsmap.network.onnx_graph import inline_copies, join_padding
from tests.networks import TINY, write_model

CONVOLUTIONS = TINY.model_copy(update={"backbone": "efficientnet-lite", "fusion": "channels"})


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 5, 64, 64)).astype(np.float32)


@pytest.mark.parametrize("network", [CONVOLUTIONS, TINY], ids=["any_size", "fixed_size"])
def test_a_chip_without_a_sure_box_gives_no_detection(network, tmp_path):
    unsure = network.model_copy(update={"stage_score": 0.999})
    content = export_onnx(*find_model(str(write_model(tmp_path / "model", network=unsure))))
    inputs = {"chips": noise(1), "min_score": np.array(0.05, dtype=np.float32)}
    for found in onnxruntime.InferenceSession(content).run(None, inputs):
        assert len(found) == 0


def test_the_network_pads_inside_its_convolutions(tmp_path):
    content = export_onnx(*find_model(str(write_model(tmp_path / "model", network=CONVOLUTIONS))))
    kinds = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert kinds.count("Pad") == 1  # that of the chip itself, up to the stride of the network


def graph_of(*nodes: onnx.NodeProto, **stored: np.ndarray) -> onnx.ModelProto:
    """From `x (1, 1, 4, 4)` to `y`, with a kernel `w` of ones and what is given."""
    stored = {"w": np.ones((1, 1, 3, 3), dtype=np.float32), **stored}
    weights = [numpy_helper.from_array(values, name) for name, values in stored.items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    graph = helper.make_graph(nodes, "graph", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def result_of(model: onnx.ModelProto) -> np.ndarray:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    return np.asarray(y)


def padded(*amounts: int) -> onnx.ModelProto:
    return graph_of(
        helper.make_node("Pad", ["x", "amounts"], ["wide"]),
        helper.make_node("Conv", ["wide", "w"], ["y"], pads=[0, 0, 0, 0], strides=[2, 2]),
        amounts=np.array(amounts, dtype=np.int64),
    )


def test_padding_that_joins_a_convolution_changes_nothing():
    model = padded(0, 0, 0, 0, 0, 0, 1, 1)
    expected = result_of(model)
    join_padding(model.graph)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    assert [weight.name for weight in model.graph.initializer] == ["w"]
    np.testing.assert_array_equal(result_of(model), expected)


def test_padding_that_no_convolution_can_do_stays():
    cut = padded(0, 0, -1, 0, 0, 0, 0, 0)  # less than nothing
    join_padding(cut.graph)
    assert [node.op_type for node in cut.graph.node] == ["Pad", "Conv"]


def test_nodes_that_only_copy_are_left_out():
    model = graph_of(
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("Split", ["x"], ["whole"], axis=1),
        helper.make_node("Conv", ["whole", "same"], ["y"]),
    )
    expected = result_of(model)
    inline_copies(model.graph)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    np.testing.assert_array_equal(result_of(model), expected)
