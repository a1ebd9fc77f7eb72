"""Changes of an exported graph: no useless nodes, padding inside convolutions, weights in half precision."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def inline_copies(graph: onnx.GraphProto) -> None:
    """Remove nodes that only copy.

    The exporter inserts nodes that copy equal weights, at which ONNX Runtime 1.31 fails, and splits the image of a
    single modality into one part.
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
    """Move padding into the convolutions that follow it.

    Convolutions in torch pad opposite sides equally, so a network with more padding at the far edges pads in a separate
    step. In ONNX each side can have another padding. On the CPU the separate step also changes the layout of the maps
    twice, which takes a tenth of rts-mini's time.
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
    """Store weights in half precision where this is exact; they are cast to single precision at loading."""
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):  # on overflow the values differ, and the weight is kept
            halved = values.astype(np.float16)
        if values.dtype == np.float32 and np.array_equal(halved, values):
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(halved, f"{name}.half"))
            casts.append(helper.make_node("Cast", [weight.name], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT))
    _replace_nodes(graph, [*casts, *graph.node])


def _zeros_added(graph: onnx.GraphProto, pad: onnx.NodeProto) -> NDArray[np.int64] | None:
    """Return `(8,)`, the zeros added before and after `(n, c, h, w)`; None if the padding is not constantly zero."""
    modes = [attribute.s for attribute in pad.attribute if attribute.name == "mode"]
    if modes not in ([], [b"constant"]):
        return None
    fill = pad.input[2] if len(pad.input) > 2 else ""
    if fill and np.any(_constant(graph, fill) != 0):
        return None
    amounts = _constant(graph, pad.input[1])
    return None if amounts is None or len(amounts) != 8 else amounts


def _constant(graph: onnx.GraphProto, name: str) -> NDArray[np.int64] | None:
    """Return the value of a tensor that depends on no input of the graph; None for other tensors."""
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
    """Replace the nodes, and remove nodes and weights that no result needs any more."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(
                onnx.NodeProto.FromString(node.SerializeToString())
            )  # a copy, as clearing the list deletes its nodes
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in needed:
            del graph.initializer[index]
