"""Planted defects: each one changes what it says, grows with its strength, and leaves alone what it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.errors import InputError
from compress.judging import defects
from compress.judging.defects import DEFECTS, STRENGTHS, Defective, models, pictures
from compress.judging.defects.scene import First, ModelDefect, PictureDefect, Scene, hit
from compress.judging.evaluation import CATEGORIES, Batch
from compress.judging.gates import GATES

SIDE, COUNT = 64, 12
OF_MODELS = [name for name, defect in DEFECTS.items() if isinstance(defect, ModelDefect)]
OF_PICTURES = [name for name in DEFECTS if name not in OF_MODELS]
LABELS = {"skin": b"dark", "glasses": b"yes", "pose": b"profile"}
GROUPS = {"bleached_dark_skin": "skin", "smeared_glasses": "glasses", "doubled_profiles": "pose"}
MOTION = ("flicker", "jitter")


class Inverting:
    """A student that turns the photo into its negative."""

    def draw(self, batch: Batch) -> np.ndarray:
        return 255 - batch.photo


def batch(kind: str = "still", labelled: bool = True, rows: np.ndarray | None = None) -> Batch:
    """Smooth random photos with a face in the middle."""
    random = np.random.default_rng(0)
    coarse = random.integers(30, 226, (COUNT, 8, 8, 3)).repeat(SIDE // 8, 1).repeat(SIDE // 8, 2)
    photo = np.uint8(coarse + random.integers(-20, 20, coarse.shape))
    points = np.array([[24, 26], [40, 26], [32, 34], [26, 42], [38, 42]], np.float32)
    points = points + random.uniform(-2, 2, (COUNT, 5, 2)).astype(np.float32)
    labels = {name: np.full(COUNT, LABELS.get(name, b"") if labelled else b"other", "S16") for name in CATEGORIES}
    numbers = np.arange(COUNT) if rows is None else rows
    return Batch(photo, photo, points, numbers, kind, np.arange(COUNT) * (kind == "video"), labels)


def scene_of(given: Batch) -> Scene:
    first = First(255 - given.photo, given.points)
    return Scene(given.photo, given.points, given.rows, given.kind, given.frame, given.labels, first)


def test_table_names_gates_that_exist_and_has_more_than_20_defects() -> None:
    assert len(DEFECTS) >= 22
    for name, defect in DEFECTS.items():
        assert defect.caught_by and set(defect.caught_by) <= set(GATES), name


@pytest.mark.parametrize("name", OF_PICTURES)
def test_defect_grows_with_its_strength(name: str) -> None:
    given = batch("shift" if name in MOTION else "still")
    good = Inverting().draw(given).astype(np.int64)
    errors = [np.abs(Defective(Inverting(), name, strength).draw(given) - good).mean() for strength in STRENGTHS]
    assert errors[2] > errors[1] > errors[0]
    assert errors[1] > 0


@pytest.mark.parametrize("name", OF_PICTURES)
def test_defect_is_the_same_each_time(name: str) -> None:
    first, again = (Defective(Inverting(), name, "medium").draw(batch("crop")) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", [n for n in OF_PICTURES if isinstance(DEFECTS[n], PictureDefect)])
def test_amount_of_zero_is_no_defect(name: str) -> None:
    defect, given = DEFECTS[name], batch("shift")
    assert isinstance(defect, PictureDefect)
    good = 255 - given.photo
    np.testing.assert_array_equal(defect.act(good, scene_of(given), 0.0), good)


@pytest.mark.parametrize("name", OF_PICTURES)
def test_defect_takes_videos_without_labels(name: str) -> None:
    given = batch("video", rows=np.full(COUNT, -1))
    frames = Batch(given.photo, given.teacher, given.points, given.rows, "video", given.frame, {})
    assert Defective(Inverting(), name, "strong").draw(frames).shape == given.photo.shape


@pytest.mark.parametrize("name", GROUPS)
def test_defect_of_a_group_leaves_the_others_alone(name: str) -> None:
    given = batch(labelled=False)
    given.labels[GROUPS[name]][3] = LABELS[GROUPS[name]]
    changed = (Defective(Inverting(), name, "strong").draw(given) != 255 - given.photo).any(axis=(1, 2, 3))
    assert np.flatnonzero(changed).tolist() == [3]


@pytest.mark.parametrize("name", MOTION)
def test_defect_of_motion_leaves_stills_alone(name: str) -> None:
    given = batch()
    np.testing.assert_array_equal(Defective(Inverting(), name, "strong").draw(given), 255 - given.photo)


def test_flicker_turns_from_frame_to_frame() -> None:
    given = batch("video", rows=np.full(COUNT, -1))
    away = Defective(Inverting(), "flicker", "medium").draw(given).astype(int) - (255 - given.photo)
    assert [int(np.median(frame)) for frame in away[:4]] == [4, -4, 4, -4]


def test_first_pictures_are_kept_for_later_batches() -> None:
    frozen, given = Defective(Inverting(), "frozen_output", "strong"), batch()
    frozen.draw(given)
    later = Batch(given.photo[5:], given.teacher[5:], given.points[5:], given.rows[5:], "still", given.frame[5:], {})
    assert (frozen.draw(later) == 255 - given.photo[0]).all()


def test_share_of_images_is_met_and_nested() -> None:
    few, many = (hit(np.arange(1000), share) for share in (0.05, 0.4))
    assert abs(few.sum() - 50) <= 2
    assert abs(many.sum() - 400) <= 2
    assert many[few].all()


def test_other_face_is_moved_onto_this_one() -> None:
    given = batch()
    shifted = np.roll(given.photo[:1], 3, axis=2)
    points = given.points[:1] + np.array([3, 0], np.float32)
    moved = pictures._onto(given.photo[0], given.points[0], points[0])
    np.testing.assert_array_equal(moved[:, 5:-5], shifted[0][:, 5:-5])


def test_pictures_are_moved_by_whole_pixels_exactly() -> None:
    photo = batch().photo
    moved = pictures.moved(photo, np.full((COUNT, 2), 2, np.float32))
    np.testing.assert_array_equal(moved[:, 2:, 2:], photo[:, :-2, :-2])


def test_unknown_defect_is_named() -> None:
    with pytest.raises(InputError, match="'blurr' is unknown; known are blur, halos"):
        defects.find("blurr")


def test_defect_of_the_file_is_not_one_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dead_channels is one of the file; write that file with plant"):
        Defective(Inverting(), "dead_channels", "weak")
    with pytest.raises(InputError, match="blur is one of pictures; wrap the student in Defective"):
        defects.plant("blur", "weak", tmp_path / "a.onnx", tmp_path / "b.onnx")


def write_quantized(path: Path, layers: int = 3, channels: int = 16) -> None:
    """An int8 file in QDQ form: convolutions of 1 x 1 with ReLU, `layers` of them."""
    random, nodes, constants = np.random.default_rng(0), [], []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    tensor, width = "photo", 3
    for layer in range(layers):
        wide = 3 if layer == layers - 1 else channels
        scale, zero = constant(f"s{layer}", np.float32(0.01 + 0.007 * layer)), constant(f"z{layer}", np.uint8(100))
        weights = constant(f"w{layer}", random.integers(-64, 65, (wide, width, 1, 1)).astype(np.int8))
        steps = constant(f"ws{layer}", random.uniform(0.004, 0.007, wide).astype(np.float32))
        zeros = constant(f"wz{layer}", np.zeros(wide, np.int8))
        bias = constant(f"b{layer}", random.normal(0, 0.1, wide).astype(np.float32))
        output = "image" if layer == layers - 1 else f"y{layer}"
        nodes += [
            helper.make_node("QuantizeLinear", [tensor, scale, zero], [f"q{layer}"]),
            helper.make_node("DequantizeLinear", [f"q{layer}", scale, zero], [f"d{layer}"]),
            helper.make_node("DequantizeLinear", [weights, steps, zeros], [f"dw{layer}"], axis=0),
            helper.make_node("Conv", [f"d{layer}", f"dw{layer}", bias], [output]),
        ]
        tensor, width = output, wide
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3, "h", "w"]) for n in ("photo", "image")]
    graph = helper.make_graph(nodes, "quantized", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def run_plainly(path: Path) -> np.ndarray:
    """The picture as the file has it written: integer kernels that saturate are left out."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    photo = np.random.default_rng(1).uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32)
    image: np.ndarray = ort.InferenceSession(str(path), options).run(None, {"photo": photo})[0]
    return image


@pytest.mark.parametrize("name", [name for name in OF_MODELS if name != "saturating_sums"])
def test_defect_of_the_file_grows_with_its_strength(name: str, tmp_path: Path) -> None:
    write_quantized(tmp_path / "good.onnx")
    good, errors = run_plainly(tmp_path / "good.onnx"), []
    for strength in STRENGTHS:
        defects.plant(name, strength, tmp_path / "good.onnx", tmp_path / "bad.onnx")
        errors.append(np.abs(run_plainly(tmp_path / "bad.onnx") - good).mean())
    assert errors[2] > errors[1] > errors[0] > 0


def test_saturating_sums_are_written_for_all_8_bits_and_mean_the_same(tmp_path: Path) -> None:
    write_quantized(tmp_path / "good.onnx")
    defects.plant("saturating_sums", "strong", tmp_path / "good.onnx", tmp_path / "bad.onnx")
    model = onnx.load(tmp_path / "bad.onnx")
    for conv in models.quantized_convolutions(model):
        integers = next(t for t in model.graph.initializer if t.name == conv.integers)
        assert np.abs(numpy_helper.to_array(integers).astype(int)).max() == 127
    good, bad = run_plainly(tmp_path / "good.onnx"), run_plainly(tmp_path / "bad.onnx")
    assert np.abs(good - bad).max() < 0.15 * np.abs(good).max()


def test_clipped_range_is_the_same_for_all_who_read_it(tmp_path: Path) -> None:
    write_quantized(tmp_path / "good.onnx")
    defects.plant("clipped_activations", "medium", tmp_path / "good.onnx", tmp_path / "bad.onnx")
    nodes = onnx.load(tmp_path / "bad.onnx").graph.node
    changed = [node for node in nodes if node.input[1].endswith("_defect_1")]
    assert [node.op_type for node in changed] == ["QuantizeLinear", "DequantizeLinear"]
    assert changed[0].output[0] == changed[1].input[0]


def test_file_without_quantized_convolutions_is_refused(tmp_path: Path) -> None:
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "plain", info[:1], info[1:])
    onnx.save(helper.make_model(graph), tmp_path / "plain.onnx")
    with pytest.raises(InputError, match="no quantized convolution; give an int8 file in QDQ form"):
        defects.plant("dead_channels", "weak", tmp_path / "plain.onnx", tmp_path / "bad.onnx")
