"""The same file under other runtimes: like files agree, saturating sums and missing packages are noticed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from compress.errors import MissingExtraError, StageError
from compress.exporting import parity
from compress.judging import runtimes
from compress.judging.candidate import Candidate
from tiny_onnx import FREE, model, node, saved

PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="the extra is not installed")


def file(path: Path, made: onnx.ModelProto) -> Candidate:
    return Candidate(saved(path / "model.onnx", made))


def quantised(weight: int) -> onnx.ModelProto:
    """A convolution of 3 x 64 taps between quantizers, all of one weight.

    With steps of 1 / 127 no pixel lies half-way between two of them, which processors round one way or the other.
    """
    constants = {
        "step": np.array(1 / 127, np.float32), "grey": np.array(128, np.uint8),
        "small": np.array(0.2 / weight, np.float32), "none": np.array(0, np.int8),
        "weight": np.full((3, 3, 8, 8), weight, np.int8),
    }  # fmt: skip
    nodes = (
        node("QuantizeLinear", "photo step grey", "q"), node("DequantizeLinear", "q step grey", "p"),
        node("DequantizeLinear", "weight small none", "w"), node("Conv", "p w", "c", auto_pad="SAME_UPPER"),
        node("QuantizeLinear", "c step grey", "cq"), node("DequantizeLinear", "cq step grey", "image"),
    )  # fmt: skip
    return model(*nodes, constants=constants)


def test_difference_is_in_levels_of_255() -> None:
    picture = np.zeros((1, 10, 100, 3), np.float32)
    other = picture + np.float32(2 / 255)
    other[0, 0, 0, 0] += np.float32(20 / 255)
    found = parity.difference([other], [picture])
    assert found.levels == pytest.approx(1, abs=1e-4)
    assert found.max_levels == pytest.approx(11, abs=1e-4)


def test_float_file_is_the_same_without_optimisation(tmp_path: Path) -> None:
    assert runtimes.unoptimised(file(tmp_path, model()), PHOTOS).max_levels < 1e-3


def test_int8_file_is_the_same_without_optimisation_but_for_rounding(tmp_path: Path) -> None:
    assert runtimes.unoptimised(file(tmp_path, quantised(3)), PHOTOS).levels <= 1.01


def test_integer_sums_that_saturate_on_this_processor_are_noticed(tmp_path: Path) -> None:
    candidate = file(tmp_path, quantised(127))
    # Every weight is 0.2, so the exact picture is 0.2 times the sum over 8 x 8 pixels and 3 channels, clipped.
    steps = np.round((PHOTOS / 127.5 - 1) * 127) / 127
    padded = np.pad(steps, ((0, 0), (3, 4), (3, 4), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8), axis=(1, 2))
    exact = np.clip(0.2 * windows.sum(axis=(3, 4, 5)), -1, 1)[..., None]
    saturates = np.abs(candidate.stylise(PHOTOS) - exact).max() > 2 / 127.5
    assert (runtimes.unoptimised(candidate, PHOTOS).max_levels > 2) == saturates


def test_optimised_graph_that_computes_something_else_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = file(tmp_path, model())
    other = saved(tmp_path / "other.onnx", model(node("Mul", "photo g", "image"), constants={"g": np.float32([0.7])}))
    original = runtimes.create_session
    monkeypatch.setattr(runtimes, "create_session", lambda _path, optimise: original(other, optimise=optimise))
    assert runtimes.unoptimised(good, PHOTOS).levels == pytest.approx(0.1 * 127.5, rel=0.05)


def test_another_runtime_that_gives_nan_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nan = model(node("Sub", "photo photo", "zero"), node("Div", "zero zero", "image"))
    other, original = saved(tmp_path / "other.onnx", nan), runtimes.create_session
    monkeypatch.setattr(runtimes, "create_session", lambda _path, optimise: original(other, optimise=optimise))
    with pytest.raises(StageError, match="under another runtime its picture holds NaN"):
        runtimes.unoptimised(file(tmp_path, model()), PHOTOS)


def test_another_runtime_that_gives_another_shape_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halved = model(node("MaxPool", "photo", "image", kernel_shape=[2, 2], strides=[2, 2]), given=None)
    other, original = saved(tmp_path / "other.onnx", halved), runtimes.create_session
    monkeypatch.setattr(runtimes, "create_session", lambda _path, optimise: original(other, optimise=optimise))
    with pytest.raises(StageError, match=r"another runtime gives \(2, 3, 8, 8\), not \(2, 3, 16, 16\); export it"):
        runtimes.unoptimised(file(tmp_path, model()), PHOTOS)


@needs_openvino
@pytest.mark.parametrize("batch", [FREE, (1, 3, 16, 16)])
def test_openvino_agrees_on_a_plain_file(tmp_path: Path, batch: tuple[str | int, ...]) -> None:
    candidate = file(tmp_path, model(taken=batch, given=batch))
    candidate.signature = candidate.signature if batch is FREE else type(candidate.signature)(batch=1)
    assert runtimes.openvino(candidate, PHOTOS).max_levels < 1e-3
    assert set(runtimes.levels(candidate, PHOTOS)) == {"parity_unoptimised_levels", "parity_openvino_levels"}


@needs_openvino
def test_file_that_openvino_cannot_open_is_an_error_and_no_number(tmp_path: Path) -> None:
    # OpenVINO has no determinant; this one adds nothing to the picture.
    nodes = (node("Det", "photo", "d"), node("ReduceSum", "d", "sum", keepdims=0), node("Mul", "sum none", "nothing"),
             node("Add", "photo nothing", "image"))  # fmt: skip
    counted = model(*nodes, constants={"none": np.array(0, np.float32)})
    candidate = file(tmp_path, counted)
    with pytest.raises(StageError, match="OpenVINO cannot open it .*; drop the gate"):
        runtimes.levels(candidate, PHOTOS, need_openvino=True)
    assert "OpenVINO cannot open it" in str(runtimes.levels(candidate, PHOTOS)["openvino_problem"])


def test_missing_openvino_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"openvino is not installed; pip install 'kcompress\[openvino\]'"):
        runtimes.levels(file(tmp_path, model()), PHOTOS, need_openvino=True)
