"""What is done to an exported graph: no useless nodes, padding inside convolutions, weights in half precision."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def inline_copies(graph: onnx.GraphProto) -> None:
    """Leave out nodes that only copy.

    The exporter copies weights that happen to be equal by nodes over which ONNX Runtime 1.31 stumbles, and splits an
    image of one modality into one part.
    """
    results = {output.name for output in graph.output}
    sources: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [sources.get(name, name) for name in node.input]
        copies = node.op_type in {"Identity", "Split"} and len(node.output) == 1
        if copies and node.output[0] not in results:
            sources[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    _replace_nodes(graph, nodes)


def join_padding(graph: onnx.GraphProto) -> None:
    """Let convolutions pad by themselves.

    torch's pad all sides alike, so that a network with more at the far edges pads in a step of its own. ONNX's pad each
    side as one likes. On the CPU that step also costs two changes of the maps' layout, of rts-mini's time a tenth.
    """
    uses = [name for node in graph.node for name in node.input]
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad" and uses.count(node.output[0]) == 1}
    joined = set()
    for node in graph.node:
        if node.op_type != "Conv" or node.input[0] not in pads:
            continue
        pad = pads[node.input[0]]
        amounts = _zeros_added(graph, pad)
        if amounts is None or amounts[[0, 1, 4, 5]].any() or (amounts < 0).any():
            continue
        (own,) = [attribute for attribute in node.attribute if attribute.name == "pads"]
        own.ints[:] = [int(mine + more) for mine, more in zip(own.ints, amounts[[2, 3, 6, 7]], strict=True)]
        node.input[0] = pad.input[0]
        joined.add(pad.output[0])
    _replace_nodes(graph, [node for node in graph.node if node.output[0] not in joined])


def halve(graph: onnx.GraphProto) -> None:
    """Store in half precision the weights that lose nothing, to be made single again when the file is loaded."""
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):  # then it is not equal, and stays
            halved = values.astype(np.float16)
        if values.dtype == np.float32 and np.array_equal(halved, values):
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(halved, f"{name}.half"))
            casts.append(helper.make_node("Cast", [weight.name], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT))
    _replace_nodes(graph, [*casts, *graph.node])


def _zeros_added(graph: onnx.GraphProto, pad: onnx.NodeProto) -> NDArray[np.int64] | None:
    """`(8,)`: zeros before and after images `(n, c, h, w)` along each axis; None if they are no zeros, or vary."""
    modes = [attribute.s for attribute in pad.attribute if attribute.name == "mode"]
    if modes not in ([], [b"constant"]):
        return None
    fill = pad.input[2] if len(pad.input) > 2 else ""
    if fill and np.any(_constant(graph, fill) != 0):
        return None
    amounts = _constant(graph, pad.input[1])
    return None if amounts is None or len(amounts) != 8 else amounts


def _constant(graph: onnx.GraphProto, name: str) -> NDArray[np.int64] | None:
    """The value of a tensor that depends on no input of the graph; None for others."""
    makers = {output: index for index, node in enumerate(graph.node) for output in node.output}
    stored = {weight.name: weight for weight in graph.initializer}
    needed: set[int] = set()
    wanted = [name]
    while wanted:
        one = wanted.pop()
        index = makers.get(one)
        if index is None and one in stored:
            continue
        if index is None:
            return None
        if index not in needed:
            needed.add(index)
            wanted += filter(None, graph.node[index].input)
    nodes = [graph.node[index] for index in sorted(needed)]
    weights = [stored[one] for one in {name, *(one for node in nodes for one in node.input)} if one in stored]
    part = helper.make_graph(nodes, "constant", [], [helper.make_empty_tensor_value_info(name)], weights)
    (value,) = ReferenceEvaluator(helper.make_model(part)).run(None, {})
    return np.asarray(value)


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Set the nodes, without those, and without the weights, that no result needs any more."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))  # those of a cleared list are gone
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in needed:
            del graph.initializer[index]
