"""Identity encoders from ONNX files: what they are fed, what is refused, and that SFace's file is no special case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from compress.errors import InputError
from compress.networks.encoder import OnnxEncoder, Range
from compress.networks.sface import TEMPLATE

POINTS = torch.tensor(TEMPLATE)[None]  # a face that is aligned already


def encoder(
    path: Path, shape: tuple[str | int, ...] = ("n", 3, 112, 112), window: int = 28, gain: float = 1.0, outputs: int = 1
) -> Path:
    """Means of windows of each colour, times `gain`, as the embedding."""
    nodes = [
        helper.make_node("AveragePool", ["face"], ["means"], kernel_shape=[window] * 2, strides=[window] * 2),
        helper.make_node("Mul", ["means", "gain"], ["scaled"]),
        *(helper.make_node("Flatten", ["scaled"], [f"embedding{i}"]) for i in range(outputs)),
    ]
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)
    found = [helper.make_tensor_value_info(f"embedding{i}", TensorProto.FLOAT, None) for i in range(outputs)]
    graph = helper.make_graph(nodes, "tiny", [face], found, [numpy_helper.from_array(np.float32(gain), "gain")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def faces(count: int) -> torch.Tensor:
    coarse = torch.rand((count, 3, 4, 4), generator=torch.Generator().manual_seed(1)) * 2 - 1
    return coarse.repeat_interleave(28, 2).repeat_interleave(28, 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [("-1..1", lambda x: x), ("0..1", lambda x: (x + 1) / 2), ("0..255", lambda x: (x + 1) * 127.5)],
)
def test_encoder_is_fed_its_range_and_gives_unit_vectors(tmp_path: Path, values: Range, expected: object) -> None:
    opened, images = OnnxEncoder(encoder(tmp_path / "e.onnx"), "rgb", values), faces(3)
    means = expected(images[:, :, 14::28, 14::28]).flatten(1)  # type: ignore[operator]
    found = opened.embed(images, POINTS.repeat(3, 1, 1))
    assert opened.dimension == 48
    assert found.numpy() == pytest.approx(torch.nn.functional.normalize(means, dim=1).numpy(), abs=1e-5)


def test_encoder_is_fed_its_order_of_colours(tmp_path: Path) -> None:
    path, images = encoder(tmp_path / "e.onnx"), faces(1)
    rgb, bgr = (OnnxEncoder(path, colour).embed(images, POINTS)[0] for colour in ("rgb", "bgr"))
    assert bgr.reshape(3, 16).flip(0).flatten().numpy() == pytest.approx(rgb.numpy(), abs=1e-6)


def test_encoder_of_a_fixed_batch_takes_any_number(tmp_path: Path) -> None:
    images, points = faces(5), POINTS.repeat(5, 1, 1)
    free, fixed = (OnnxEncoder(encoder(tmp_path / f"{n}.onnx", (n, 3, 112, 112))) for n in ("n", 2))
    assert fixed.embed(images, points).numpy() == pytest.approx(free.embed(images, points).numpy(), abs=1e-6)


def test_encoder_aligns_by_the_points(tmp_path: Path) -> None:
    opened, images = OnnxEncoder(encoder(tmp_path / "e.onnx")), faces(1)
    large = torch.nn.functional.interpolate(images, scale_factor=2, mode="nearest")
    found = opened.embed(large, 2 * POINTS)
    assert found.numpy() == pytest.approx(opened.embed(images, POINTS).numpy(), abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": ("n", 112, 112, 3)}, r"input tensor\(float\) \['n', 112, 112, 3\] where .* is needed"),
        ({"shape": ("n", 3, 160, 160)}, r"\['n', 3, 160, 160\] where tensor\(float\) \[N, 3, 112, 112\]"),
        ({"outputs": 2}, "1 inputs and 2 outputs where an encoder has one of each"),
        ({"window": 112}, "embeddings of 3 numbers tell no people apart"),
        ({"gain": 0.0}, "not finite or of no length"),
        ({"gain": float("nan")}, "not finite or of no length"),
    ],
)
def test_file_that_is_no_encoder_is_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OnnxEncoder(encoder(tmp_path / "e.onnx", **options))  # type: ignore[arg-type]


def test_encoder_that_says_the_same_of_everything_is_refused(tmp_path: Path) -> None:
    path = encoder(tmp_path / "e.onnx")
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "flat"
    model.graph.node.append(helper.make_node("Add", ["flat", "large"], ["embedding0"]))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1e4), "large"))
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"the same embedding for different pictures \(cosine 1.0000.\); check judges"):
        OnnxEncoder(path)


def test_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.onnx: no such file; give an ArcFace-like ONNX file"):
        OnnxEncoder(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no graph in here")
    with pytest.raises(InputError, match="broken.onnx: ONNX Runtime cannot open it"):
        OnnxEncoder(tmp_path / "broken.onnx")


def test_embedding_with_points_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"points \(1, 5, 2\): want"):
        OnnxEncoder(encoder(tmp_path / "e.onnx")).embed(faces(2), POINTS)
