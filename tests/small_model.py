"""The smallest ONNX file that takes a photo and gives a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write(path: Path, gain: float = 1.0, external: bool = False) -> Path:
    """A file that multiplies the photo by `gain`; `external` keeps that number in a file of its own."""
    shape = ("n", 3, "h", "w")
    photo, image = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("photo", "image"))
    weight = numpy_helper.from_array(np.full((1, 3, 1, 1), gain, np.float32), "gain")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["photo", "gain"], ["image"])], "gain", [photo], [image], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # it would be appended to
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path
