"""Admission: files of every usual form are understood, bad ones are refused in one sentence that names the way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.errors import InputError
from compress.exporting import onnx_files
from compress.judging import admission
from compress.judging.admission import Options, admit
from compress.judging.candidate import Candidate
from compress.judging.signature import INPUT_RANGES, OUTPUT_RANGES, Signature, normalised
from tiny_onnx import FREE, exported, model, node, saved

SIDE = 32
PLAIN = Options()
LAST = ("n", "h", "w", 3)
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)


def gained(photos: np.ndarray) -> np.ndarray:
    return 0.8 * (photos.astype(np.float32) / 127.5 - 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real export: the whole float student."""
    tiny, core = exported("map")
    whole = onnx_files.whole(core, tiny, 18)
    return saved(tmp_path_factory.mktemp("student") / "model.onnx", whole)


# What is understood.


@pytest.mark.parametrize("taken", [FREE, (1, 3, SIDE, SIDE), ("n", 3, SIDE, SIDE), (2, 3, "h", "w")])
def test_free_and_fixed_sizes_and_batches_draw_any_number_of_photos(path: Path, taken: tuple[str | int, ...]) -> None:
    found = admit(saved(path, model(taken=taken, given=taken)), SIDE, PLAIN).signature
    assert (found.batch, found.height) == tuple(n if isinstance(n, int) else 0 for n in (taken[0], taken[2]))
    assert np.allclose(Candidate(path, signature=found).stylise(PHOTOS), gained(PHOTOS), atol=1e-6)


@pytest.mark.parametrize(("taken", "given"), [(LAST, LAST), (FREE, FREE), (None, None)])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_layouts_and_float_types_give_the_same_pictures(path: Path, taken: object, given: object, kind: int) -> None:
    found = admit(saved(path, model(taken=taken, given=given, kind=kind)), SIDE, PLAIN).signature
    assert found.layout == found.output_layout == ("nhwc" if taken is LAST else "nchw")
    assert np.allclose(Candidate(path, signature=found).stylise(PHOTOS), gained(PHOTOS), atol=2e-3)


def test_file_that_takes_channels_last_and_gives_them_first_is_understood(path: Path) -> None:
    turned = model(node("Transpose", "photo", "image", perm=[0, 3, 1, 2]), taken=LAST, given=("n", "c", "h2", "w2"))
    found = admit(saved(path, turned), SIDE, PLAIN).signature
    assert (found.layout, found.output_layout) == ("nhwc", "nchw")
    assert (Candidate(path, signature=found).draw(type("Photos", (), {"photo": PHOTOS})()) == PHOTOS).all()


def test_bytes_in_and_out_are_taken_as_they_are_on_disk(path: Path) -> None:
    found = admit(saved(path, model(node("Identity", "photo", "image"), kind=TensorProto.UINT8)), SIDE, PLAIN).signature
    assert found.input_range == found.output_range == "0..255"
    assert np.allclose(Candidate(path, signature=found).stylise(PHOTOS), PHOTOS / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("values", OUTPUT_RANGES)
def test_photo_that_is_given_back_in_any_range_is_the_same_picture(values: str) -> None:
    signature = Signature(input_range=values, output_range=values, layout="nhwc", output_layout="nhwc")
    assert np.allclose(signature.decode(signature.encode(PHOTOS)), PHOTOS / 127.5 - 1, atol=1e-6)


def test_imagenet_range_has_mean_0_and_deviation_1_at_its_own_mean_and_deviation() -> None:
    mean, deviation = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
    pixels = np.rint(np.stack([mean, mean + deviation])).astype(np.uint8).reshape(2, 1, 1, 3)
    assert np.allclose(normalised(pixels, "imagenet").reshape(2, 3), [[0] * 3, [1] * 3], atol=0.5 / 57)


def test_free_batch_that_works_for_one_photo_only_is_run_one_by_one(path: Path) -> None:
    constants = {"one": np.array([1, 3, SIDE, SIDE])}
    found = admit(saved(path, model(node("Reshape", "photo one", "image"), constants=constants)), SIDE, PLAIN)
    assert found.signature.batch == 1
    assert np.allclose(Candidate(path, signature=found.signature).stylise(PHOTOS), PHOTOS / 127.5 - 1, atol=1e-6)


def test_free_batch_whose_photos_mix_is_run_one_by_one(path: Path) -> None:
    mixed = model(
        node("ReduceMax", "photo batch", "most", keepdims=1), node("Mul", "photo most", "image"),
        constants={"batch": np.array([0])},
    )  # fmt: skip
    assert admit(saved(path, mixed), SIDE, PLAIN).signature.batch == 1


def test_own_export_is_admitted_with_what_it_is_made_of(student: Path) -> None:
    found = admit(student, SIDE, PLAIN)
    assert found.signature == Signature()
    assert found.as_dict()["operators"]["Conv"] == 10
    assert (found.opset, found.size_bytes) == (18, student.stat().st_size)


def test_external_data_beside_the_file_is_used(path: Path) -> None:
    onnx.save(external(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert (path.parent / "model.data").stat().st_size == 4 * 3 * SIDE * SIDE
    found = admit(path, SIDE, PLAIN).signature
    assert np.allclose(Candidate(path, signature=found).stylise(PHOTOS), gained(PHOTOS), atol=1e-6)


def external() -> onnx.ModelProto:
    return model(node("Mul", "photo gain", "image"), constants={"gain": np.full((1, 3, SIDE, SIDE), 0.8, np.float32)})


# What is refused.


def refused(made: onnx.ModelProto, path: Path, match: str, options: Options = PLAIN) -> None:
    with pytest.raises(InputError, match=match) as caught:
        admit(saved(path, made), SIDE, options)
    text = str(caught.value)
    assert "\n" not in text and "; " in text, text
    assert "ONNXRuntimeError" not in text, text


BAD: dict[str, tuple[onnx.ModelProto, str]] = {
    "another size": (
        model(taken=(1, 3, 64, 64), given=(1, 3, 64, 64)), "takes 64 px, test.size is 32; set test.size: 64",
    ),
    "a size that no test set has": (
        model(taken=(1, 3, 50, 50), given=(1, 3, 50, 50)), "takes 50 px.*export it with free height and width",
    ),
    "not square": (
        model(taken=(1, 3, 32, 48), given=(1, 3, 32, 48)), "takes 32 x 48 px, test.size is 32; export it",
    ),
    "two inputs": (
        model(node("Add", "photo style", "image"), more_inputs=["style"]),
        r"2 inputs \(photo \[n, 3, h, w\], style .*photo alone",
    ),
    "two outputs": (
        model(node("Split", "photo", "image mask", axis=1, num_outputs=2), given=None, more_outputs=["mask"]),
        r"2 outputs \(image.*, mask.*picture alone",
    ),
    "an opset of the future": (model(opset=99), r"opset 99 of ai.onnx, ONNX Runtime .* runs up to \d+; export with"),
    "an IR of the future": (model(ir_version=99), r"IR version 99, ONNX Runtime .* reads up to \d+; save with"),
    "an operator of nobody": (model(node("Blur", "photo", "image")), "operator Blur is not in opset 18; export with"),
    "a custom domain": (
        model(node("Blur", "photo", "image", domain="my.ops"), domain="my.ops"),
        "operator my.ops::Blur at node 'Blur of image' is not one of ONNX's; export",
    ),
    "integers": (model(node("Identity", "photo", "image"), kind=TensorProto.INT64), r"takes tensor\(int64\), known"),
    "double": (
        model(node("Cast", "photo", "image", to=TensorProto.DOUBLE), given_kind=TensorProto.DOUBLE),
        r"gives tensor\(double\), known are float32",
    ),
    "grey": (model(taken=("n", 1, "h", "w"), given=("n", 1, "h", "w")), r"takes \[n, 1, h, w\], no axis has 3"),
    "no batch axis": (model(taken=(3, "h", "w"), given=(3, "h", "w")), r"takes \[3, h, w\], four axes are needed"),
    "NaN": (model(node("Sub", "photo photo", "zero"), node("Div", "zero zero", "image")), "holds NaN or inf"),
    "infinity": (
        model(node("Sub", "photo photo", "zero"), node("Reciprocal", "zero", "image")), "holds NaN or infinity; mend",
    ),
    "random": (
        model(node("RandomNormalLike", "photo", "noise"), node("Add", "photo noise", "image")),
        "another picture of the same photo each time; export it without random numbers",
    ),
    "fails when run": (
        model(node("Reshape", "photo wrong", "image"), constants={"wrong": np.array([1, 3, 7, 7])}),
        "fails on a photo of 32 px .*; export it",
    ),
    "batch that mixes": (
        model(
            node("ReduceMax", "photo batch", "most", keepdims=1), node("Mul", "photo most", "image"),
            taken=(2, 3, SIDE, SIDE), given=(2, 3, SIDE, SIDE), constants={"batch": np.array([0])},
        ),
        "depends on the others of its batch; export it for one photo",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_refused_in_one_sentence(path: Path, name: str) -> None:
    made, match = BAD[name]
    refused(made, path, match)


def test_picture_of_another_size_is_refused(path: Path) -> None:
    scales = {"scales": np.array([1, 1, 2, 2], np.float32)}
    larger = helper.make_node("Resize", ["photo", "", "scales"], ["image"], mode="nearest")
    refused(model(larger, given=("n", 3, "H", "W"), constants=scales), path, r"gives \[1, 3, 64, 64\] for a photo")


def test_type_without_a_kernel_is_refused(path: Path) -> None:
    made = model(node("Celu", "photo", "image"), kind=TensorProto.FLOAT16)
    refused(made, path, "cannot open it|has no operator Celu at node 'Celu of image' for its types on the CPU")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty; copy or export it again"),
        (b"PK\x03\x04 and so on", "a zip archive, such as a PyTorch checkpoint, not an ONNX file; export"),
        (b"\x80\x02 and so on", "a pickle"),
        (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer.*; fetch the file with: git lfs pull"),
        (b"<?xml version='1.0'?><net/>", "XML, such as OpenVINO's IR"),
        (b"hello, this is no model", "not an ONNX file; export"),
        (b"a text that is no model", "holds no whole graph, it is cut off or not an ONNX model"),
        (b"\x08\x0a", "holds no whole graph"),
    ],
)
def test_other_kinds_of_file_are_named(path: Path, content: bytes, match: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=match):
        admit(path, SIDE, PLAIN)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(student: Path, path: Path, kept: float) -> None:
    content = student.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="cut off or damaged after|holds no whole graph"):
        admit(path, SIDE, PLAIN)


def test_damaged_names_are_refused_without_a_word_on_the_terminal(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = model(node("Mul", "photo missing", "image")).SerializeToString()
    path.write_bytes(content.replace(b"missing", b"miss\xff\xffg"))
    with pytest.raises(InputError, match="ONNX Runtime .* cannot open it .*; copy or export it again"):
        admit(path, SIDE, PLAIN)
    assert capfd.readouterr() == ("", "")


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; check the path"):
        admit(tmp_path / "none.onnx", SIDE, PLAIN)
    with pytest.raises(InputError, match="a folder; give the .onnx file in it"):
        admit(tmp_path, SIDE, PLAIN)


def test_missing_external_data_is_named(path: Path) -> None:
    onnx.save(external(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    (path.parent / "model.data").unlink()
    with pytest.raises(InputError, match="data of 'gain' in 'model.data', which is missing; put that file beside"):
        admit(path, SIDE, PLAIN)


def test_truncated_external_data_is_refused(path: Path) -> None:
    onnx.save(external(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    (path.parent / "model.data").write_bytes(b"short")
    with pytest.raises(InputError, match="cut off: 5 of 12288 bytes"):
        admit(path, SIDE, PLAIN)


@pytest.mark.parametrize("location", ["../outside.data", "/etc/hostname", ""])
def test_external_data_outside_the_folder_is_refused(path: Path, location: str) -> None:
    made = external()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(made.SerializeToString())
    (path.parent.parent / "outside.data").write_bytes(bytes(12288))
    with pytest.raises(InputError, match="outside the file's own folder; save the model with its data beside it"):
        admit(path, SIDE, PLAIN)


def test_external_data_behind_a_link_out_of_the_folder_is_refused(path: Path) -> None:
    onnx.save(external(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    moved = path.rename(elsewhere / path.name)
    (elsewhere / "model.data").symlink_to(path.parent / "model.data")
    with pytest.raises(InputError, match="outside the file's own folder"):
        admit(moved, SIDE, PLAIN)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (Options(layout="nhwc"), r"--layout: nhwc does not fit \[n, 3, h, w\]"),
        (Options(layout="NCHW"), "--layout: NCHW is not known; give one of nchw, nhwc"),
    ],
)
def test_options_that_contradict_the_file_are_refused(path: Path, options: Options, match: str) -> None:
    refused(model(node("Identity", "photo", "image"), kind=TensorProto.UINT8), path, match, options)


def test_unknown_range_is_refused(path: Path) -> None:
    refused(model(), path, "--output-range: imagenet is not known; give one of -1..1", Options(output_range="imagenet"))


# The ranges that a file does not state.


@pytest.mark.parametrize("input_range", INPUT_RANGES)
@pytest.mark.parametrize("output_range", OUTPUT_RANGES)
def test_file_read_in_another_range_is_refused_with_the_flags_to_use(
    path: Path, input_range: str, output_range: str
) -> None:
    # A file that undoes its input range, darkens, and gives its output range.
    ends = [normalised(np.full((1, 1, 1, 3), end, np.uint8), input_range).reshape(3, 1, 1) for end in (0, 255)]
    low, high = {"-1..1": (-1, 1), "0..1": (0, 1), "0..255": (0, 255)}[output_range]
    constants = {
        "start": ends[0], "width": ends[1] - ends[0],
        "gain": np.array(0.8 * (high - low), np.float32), "base": np.array(low, np.float32),
    }  # fmt: skip
    made = model(
        node("Sub", "photo start", "a"), node("Div", "a width", "b"), node("Mul", "b gain", "c"),
        node("Add", "c base", "image"), constants=constants,
    )  # fmt: skip
    right = admit(saved(path, made), SIDE, Options(input_range, output_range)).signature
    teacher = np.rint(0.8 * PHOTOS).astype(np.uint8)
    assert admission.check_ranges(Candidate(path, signature=right), PHOTOS, teacher) > 40
    wrong = replace(right, output_range="0..1" if output_range == "-1..1" else "-1..1")
    with pytest.raises(InputError, match=f"give --input-range {input_range} --output-range {output_range}"):
        admission.check_ranges(Candidate(path, signature=wrong), PHOTOS, teacher)


def test_bad_student_in_the_right_range_is_left_to_the_gates(path: Path) -> None:
    found = admit(saved(path, model()), SIDE, PLAIN).signature
    teacher = np.random.default_rng(1).integers(0, 256, PHOTOS.shape).astype(np.uint8)
    assert admission.check_ranges(Candidate(path, signature=found), PHOTOS, teacher) < 12
