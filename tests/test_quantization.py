"""Fake quantization against slow references, the integer layout, storage, and the exported file in ONNX Runtime."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import students
from compress.errors import StageError, StorageError
from compress.shrinking import hooks, quantization
from compress.shrinking.fakequant import WEIGHTS, FakeQuantizer, Grid

SIGNED = Grid(0, 255, zero_point=100)
UNSIGNED = Grid(0, 255)


def slow(x: Tensor, reach: Tensor, grid: Grid) -> Tensor:
    """The definition, differentiable by PyTorch: only rounding passes its gradient straight through."""
    step = reach / grid.levels
    if grid.axis is not None:
        step = step.view(-1, *[1] * (x.dim() - 1))
    scaled = (x / step).clamp(grid.low - grid.zero_point, grid.high - grid.zero_point)
    return step * (scaled + (scaled.round() - scaled).detach())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("grid", [SIGNED, UNSIGNED, WEIGHTS], ids=["signed", "unsigned", "weights"])
def test_fake_quantizer_matches_definition_and_its_gradients(grid: Grid, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    reach = torch.rand(4) + 2 if grid.axis is not None else torch.tensor([4.0])
    x = (torch.randn(4, 3, 5, 5) * 2).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(4, 3, 5, 5)
    quantizer, limit = FakeQuantizer(grid, reach), reach.clone().requires_grad_()
    ours, expected = quantizer(x), slow(x, limit, grid)
    wanted = torch.autograd.grad((expected * weight).sum(), [x, limit])
    found = torch.autograd.grad((ours * weight).sum(), [x, quantizer.reach])
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1].reshape(found[1].shape), atol=1e-4, rtol=1e-4)


def test_fake_quantizer_matches_pytorchs_own() -> None:
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.fake_quantize_per_tensor_affine(x, 4 / 255, 100, 0, 255)
    torch.testing.assert_close(FakeQuantizer(SIGNED, torch.tensor([4.0]))(x), wanted, atol=1e-5, rtol=0)


def test_frozen_range_gets_no_gradient_and_data_does() -> None:
    quantizer = FakeQuantizer(UNSIGNED, torch.tensor([1.0]))
    quantizer.reach.requires_grad_(False)
    x = torch.tensor([[-0.5, 0.5, 1.5]], requires_grad=True)
    quantizer(x).sum().backward()
    assert quantizer.reach.grad is None
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 1.0, 0.0]]


def test_constrain_keeps_range_below_ceiling() -> None:
    quantizer = FakeQuantizer(Grid(0, 255, ceiling=6.0), torch.tensor([7.0]))
    assert float(quantizer.step) * 255 <= 6.0
    with torch.no_grad():
        quantizer.reach.fill_(-1.0)
    quantizer.constrain()
    assert float(quantizer.step) > 0


def test_products_of_two_cannot_overflow_16_bits() -> None:
    assert 2 * 255 * WEIGHTS.high <= 2**15 - 1


def trained_like(block: str = "plain") -> students.Student:
    """A tiny student with running statistics and a head as after some training."""
    torch.manual_seed(0)
    student = students.build(students.record_for("map", 8, 32, 1, block))
    for name, tensor in student.state_dict().items():
        if name.endswith((".weight", ".bias")):
            tensor.add_(0.1 * torch.randn_like(tensor))
    with torch.no_grad():
        for _ in range(40):
            student.core(pictures(16))
    return student.eval()


def pictures(count: int) -> Tensor:
    """Smooth random pictures [count, 3, 32, 32]."""
    return nn.functional.interpolate(torch.rand(count, 3, 6, 6) * 2 - 1, size=(32, 32), mode="bilinear")


@pytest.fixture(scope="module")
def quantized() -> tuple[students.Student, students.Student]:
    """A float student and its calibrated copy."""
    student = trained_like()
    torch.manual_seed(1)
    calibrated = students.build(student.record)
    calibrated.core = quantization.quantize(student.core, pictures(32))
    return student, calibrated.eval()


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 / (a - b).square().mean()))


def test_fuse_removes_every_norm_and_keeps_the_function() -> None:
    core = trained_like("inverted").core
    fused = quantization.fuse(core)
    assert quantization.count_norms(core) > 0
    assert quantization.count_norms(fused) == 0
    low = pictures(2)
    torch.testing.assert_close(fused(low), core(low), atol=1e-4, rtol=1e-4)


def test_fuse_refuses_a_norm_without_a_convolution() -> None:
    with pytest.raises(StageError, match="layer '1': this BatchNorm does not follow a convolution"):
        quantization.fuse(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)))


def test_quantize_places_a_quantizer_on_all_weights_but_the_heads(
    quantized: tuple[students.Student, students.Student],
) -> None:
    student, calibrated = quantized
    convolutions = sum(isinstance(module, nn.Conv2d) for module in student.core.modules())
    placed = quantization.quantizers(calibrated.core)
    assert sum(hooks.of_weights(place) for place in placed) == convolutions - 1
    assert not [place for place in placed if hooks.of_weights(place) and "head" in place]


def test_quantized_picture_is_near_the_float_one(quantized: tuple[students.Student, students.Student]) -> None:
    student, calibrated = quantized
    photo = pictures(8)
    with torch.no_grad():
        float_, int8 = student(photo), calibrated(photo)
    assert psnr(float_.image, int8.image) > 35
    assert int8.tap.shape == float_.tap.shape


def test_quantize_leaves_the_student_as_it_was(quantized: tuple[students.Student, students.Student]) -> None:
    student, _ = quantized
    assert quantization.count_norms(student.core) > 0
    assert not [name for name in student.state_dict() if "nncf" in name]


def test_quantize_refuses_layers_outside_of_sequentials() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(4, 4, 3))])
            self.head = nn.Conv2d(4, 12, 1)

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x)
            raw: Tensor = self.head(x)
            return raw

    with pytest.raises(StageError, match="build the core of"):
        quantization.quantize(Listed(), pictures(2))


def test_biases_lie_on_the_grid_of_integer_sums(quantized: tuple[students.Student, students.Student]) -> None:
    core = copy.deepcopy(quantized[1].core)
    placed = quantization.quantizers(core)
    unit = placed["post_hooks.low__0.0"].step * placed["pre_hooks.stem/0/conv2d/0__1.0"].step
    bias = core.get_submodule("stem.0").get_parameter("bias")
    torch.testing.assert_close(bias / unit, (bias / unit).round(), atol=1e-2, rtol=0)
    before = [p.detach().clone() for p in core.parameters()]
    assert quantization.round_biases(core, pictures(1)) == sum(hooks.of_weights(place) for place in placed)
    assert all(torch.allclose(a, b) for a, b in zip(before, core.parameters()))


def test_saved_student_loads_with_the_same_outputs(
    quantized: tuple[students.Student, students.Student], tmp_path: Path
) -> None:
    _, calibrated = quantized
    quantization.save(calibrated, tmp_path)
    loaded, photo = quantization.load(tmp_path), pictures(2)
    with torch.no_grad():
        assert torch.equal(loaded(photo).image, calibrated(photo).image)
    assert loaded.record == calibrated.record


@pytest.mark.parametrize("damage", ["quantizer.json", "weights.safetensors", "architecture.json"])
def test_load_of_damaged_student_names_folder(
    quantized: tuple[students.Student, students.Student], tmp_path: Path, damage: str
) -> None:
    quantization.save(quantized[1], tmp_path)
    (tmp_path / damage).write_text("{}", encoding="utf-8")
    with pytest.raises(StorageError, match="not a quantized student"):
        quantization.load(tmp_path)


def test_load_refuses_another_students_quantizers(
    quantized: tuple[students.Student, students.Student], tmp_path: Path
) -> None:
    quantization.save(quantized[1], tmp_path)
    data = json.loads((tmp_path / "quantizer.json").read_text(encoding="utf-8"))
    data.popitem()
    (tmp_path / "quantizer.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(StorageError, match="Unexpected key"):
        quantization.load(tmp_path)


def test_ranges_freeze_and_training_lowers_the_loss(quantized: tuple[students.Student, students.Student]) -> None:
    student, calibrated = quantized
    core = copy.deepcopy(calibrated.core)
    quantization.freeze_ranges(core)
    reaches = [q.reach.clone() for q in quantization.quantizers(core).values()]
    low = pictures(8)
    wanted = student.core(low).detach()
    optimizer = torch.optim.Adam([p for p in core.parameters() if p.requires_grad], 1e-4)
    losses = []
    for _ in range(8):
        loss = (core(low) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        quantization.constrain_ranges(core)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(torch.equal(a, q.reach) for a, q in zip(reaches, quantization.quantizers(core).values()))


@pytest.fixture(scope="module")
def exported(quantized: tuple[students.Student, students.Student], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quantized core as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "core.onnx"
    core = quantization.decompose(quantized[1].core)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(core, (pictures(1),), path, dynamo=True, external_data=False, opset_version=18)
    return path


def test_decomposed_core_gives_the_same_numbers(quantized: tuple[students.Student, students.Student]) -> None:
    core, low = quantized[1].core, pictures(2)
    with torch.no_grad():
        wanted, found = core(low), quantization.decompose(core)(low)
    # values on the border between two integers may go either way
    assert float(((wanted - found).abs() > 1e-4).float().mean()) < 0.05
    assert psnr(wanted, found) > 50


def test_all_convolutions_but_the_head_are_integer_in_onnx_runtime(exported: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(exported), options)
    written = Counter(node.op_type for node in onnx.load(exported).graph.node)
    run = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert run["QLinearConv"] == written["Conv"] - 1
    assert run["QLinearAdd"] == written["Add"]
    assert run["Clip"] == 0
    assert run["QuantizeLinear"] == 1


def test_onnx_runtime_agrees_with_torch(exported: Path, quantized: tuple[students.Student, students.Student]) -> None:
    low = pictures(4)
    session = onnxruntime.InferenceSession(str(exported))
    name = session.get_inputs()[0].name
    raw = np.concatenate([session.run(None, {name: picture[None].numpy()})[0] for picture in low])
    with torch.no_grad():
        wanted = students.composite(low, students.fold(quantized[1].core(low), low))
        found = students.composite(low, students.fold(torch.from_numpy(raw), low))
    assert psnr(wanted, found) > 60
    assert float(((wanted - found).abs() * 127.5).quantile(0.999)) < 1  # levels of 255


def test_stored_weights_are_7_bit_integers(exported: Path) -> None:
    weights = [onnx.numpy_helper.to_array(t) for t in onnx.load(exported).graph.initializer if "integers" in t.name]
    assert weights
    assert all(w.dtype == np.int8 and np.abs(w.astype(int)).max() <= 64 for w in weights)
