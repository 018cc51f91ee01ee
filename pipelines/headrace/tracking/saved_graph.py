"""Refuse a SavedModel whose graph reads or writes files, or calls Python.

TensorFlow runs whatever operations a graph has. Ours compute; the few of its operations below
reach what lies outside the graph. Saving and restoring its own variables is not among them, so this
is a second fence and no sandbox.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.errors import ModelError

# Names of TensorFlow's operations, by what they reach: files, Python, other processes.
_REACHING = re.compile(
    r"File(?!name)|PyFunc|Dataset|Reader|Summary|Debug|Snapshot|Vocab|LoadAndRemap"
    r"|DistributedSave|Rpc|RemoteCall|^Save$|^SaveSlices$"
)


def check_saved_graph(folder: str, name: str) -> None:
    """Check the operations of a SavedModel.

    Args:
        folder: local folder of the SavedModel.
        name: of the model, in messages.

    Raises:
        ModelError: its graph cannot be read, or has an operation that reaches out of it.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString((Path(folder) / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelError(
            f"model {name} was not loaded: its graph cannot be read ({type(error).__name__})"
        ) from None
    reaching = sorted({node.op for node in _list_nodes(saved_model) if _reaches_out(node)})
    if reaching:
        raise ModelError(
            f"model {name} was not loaded: its graph has operations that reach files, Python or "
            f"other processes: {', '.join(reaching)}"
        )


def _reaches_out(node: Any) -> bool:
    if node.op == "PrintV2":  # to a file, instead of standard error
        return b"://" in node.attr["output_stream"].s
    return bool(_REACHING.search(node.op))


def _list_nodes(saved_model: Any) -> Iterator[Any]:
    for meta_graph in saved_model.meta_graphs:
        yield from meta_graph.graph_def.node
        for function in meta_graph.graph_def.library.function:
            yield from function.node_def
