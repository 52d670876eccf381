"""`stylize`: what it opens and what it refuses, what it writes, and that no photograph is lost or overwritten."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import teachers
from compress import artifact, cli
from compress.errors import InputError, StorageError
from compress.faces import PairRenderer
from compress.photographs import photos
from compress.photographs.stylize import stylize
from compress.photographs.stylizers import open_model

ROUNDING_LEVELS = 1
TILT_DEGREES = 4.0  # the detector alone is 15 degrees off
SAME_POINTS = 0.03  # share of the aligned picture


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A rendered face on a wider canvas."""
    photo = PairRenderer(size=192).photo(11, 3)["photo"]
    return np.pad(photo, ((40, 24), (60, 30), (0, 0)), mode="edge")


@pytest.fixture
def folder(portrait: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(portrait).save(tmp_path / "anna.png")
    return tmp_path


def _network(path: Path, nodes: list, inputs: dict, outputs: dict, constants: dict | None = None) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def _whole(path: Path) -> Path:
    """A student that inverts its photo."""
    shape = ["n", 3, "h", "w"]
    return _network(path, [helper.make_node("Neg", ["photo"], ["image"])], {"photo": shape}, {"image": shape})


def _core(path: Path) -> Path:
    """A core whose maps leave the photo where it is and halve its contrast: flow 0, A 0.5, B 0."""
    nodes = [helper.make_node("Conv", ["photo", "w", "b"], ["maps"], strides=[2, 2])]
    constants = {"w": np.zeros((8, 3, 2, 2), np.float32), "b": np.array([0, 0, 0.5, 0.5, 0.5, 0, 0, 0], np.float32)}
    return _network(path, nodes, {"photo": ["n", 3, 16, 16]}, {"maps": ["n", 8, 8, 8]}, constants)


def _tier(folder: Path, core: bool) -> Path:
    folder.mkdir()
    _whole(folder / "model.onnx")
    if core:
        _core(folder / "core.onnx")
    artifact.seal(folder, {"kind": "tier"})
    return folder


def _halves(path: Path) -> tuple[np.ndarray, np.ndarray]:
    pair = np.asarray(Image.open(path)).astype(int)
    width = pair.shape[1] // 2
    assert pair.shape[0] == width
    return pair[:, :width], pair[:, width:]


@pytest.mark.parametrize("degrees", [-20, 0, 20])
def test_tilted_head_is_aligned_upright(degrees: int, portrait: np.ndarray) -> None:
    middle = (portrait.shape[1] / 2, portrait.shape[0] / 2)
    matrix = cv2.getRotationMatrix2D(middle, -degrees, 1.0)
    turned = cv2.warpAffine(portrait, matrix, portrait.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    upright, tilted = (photos.frame(photos.detect(picture)[0].points, 1) for picture in (portrait, turned))
    tilt = np.degrees(np.arctan2(tilted[0, 1], tilted[0, 0]) - np.arctan2(upright[0, 1], upright[0, 0]))
    assert tilt == pytest.approx(degrees, abs=TILT_DEGREES)


def test_detected_points_move_the_framing_little_between_resolutions(portrait: np.ndarray) -> None:
    large = cv2.resize(portrait, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    small, big = (photos.detect(picture)[0].points for picture in (portrait, large))
    size = photos.natural_size(small)
    assert np.abs(big / 3 - small).max() < SAME_POINTS * size


def test_whole_student_changes_the_aligned_face_at_its_own_size(folder: Path, portrait: np.ndarray) -> None:
    assert stylize(str(_whole(folder / "model.onnx")), [str(folder / "anna.png")], str(folder / "out")) == 0
    photo, result = _halves(folder / "out" / "anna-pair.png")
    assert len(photo) == round(photos.natural_size(photos.detect(portrait)[0].points))
    assert np.abs(photo + result - 255).max() <= ROUNDING_LEVELS
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "out" / "anna-stylized.png")), result)


def test_tier_with_a_core_goes_through_the_compositor(folder: Path) -> None:
    assert stylize(str(_tier(folder / "cpu", core=True)), [str(folder / "anna.png")], str(folder / "out")) == 0
    photo, result = _halves(folder / "out" / "anna-pair.png")
    assert np.abs((photo - 127.5) * 0.5 + 127.5 - result).max() <= ROUNDING_LEVELS


def test_tier_without_a_core_uses_the_whole_student(folder: Path) -> None:
    assert stylize(str(_tier(folder / "rgb", core=False)), [str(folder / "anna.png")], str(folder / "out")) == 0
    photo, result = _halves(folder / "out" / "anna-pair.png")
    assert np.abs(photo + result - 255).max() <= ROUNDING_LEVELS


def test_teacher_gives_its_own_picture_and_a_large_one(folder: Path) -> None:
    torch.manual_seed(0)
    record = {"family": "kstylegan", "channels": [16] * 5, "blocks": [1] * 4, "render_blocks": [1] * 3, "size": 64}
    teachers.save(teachers.build(record), folder / "tiny.safetensors")
    assert stylize(str(folder / "tiny.safetensors"), [str(folder / "anna.png")], str(folder / "out")) == 0
    assert _halves(folder / "out" / "anna-pair.png")[0].shape == (64, 64, 3)
    assert len(_halves(folder / "out" / "anna-large-pair.png")[0]) > 100


def test_teacher_draws_in_the_style_that_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    record = {"family": "kstylegan", "channels": [16] * 5, "blocks": [1] * 4, "render_blocks": [1] * 3, "size": 64}
    network = teachers.build({**record, "styles": ["fairy-tale", "toy"]})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model, photo = str(folder / "tiny.safetensors"), str(folder / "anna.png")
    teachers.save(network, Path(model))
    drawn = []
    for asked in ([], ["--style", "fairy-tale"], ["--style", "toy"], ["--style", "fairy-tale=0.5,toy=0.5"]):
        assert cli.main(["stylize", model, photo, "--out", str(folder / "out"), *asked]) == 0
        drawn.append(np.asarray(Image.open(folder / "out" / "anna-stylized.png")).astype(int))
    assert np.array_equal(drawn[0], drawn[1])
    assert all(np.abs(drawn[a] - drawn[b]).max() > 0 for a, b in ((1, 2), (1, 3), (2, 3)))
    for asked, sentence in (
        ("toi", "--style: 'toi' is no style of this teacher; did you mean 'toy'?"),
        ("toy=0.5", "--style: weights sum to 0.5; make it 1"),
        ("toy=half", "--style: 'toy=half' is no style with a weight"),
    ):
        assert cli.main(["stylize", model, photo, "--out", str(folder / "out"), "--style", asked]) == 2
        assert sentence in capsys.readouterr().err


def test_student_has_no_other_style(folder: Path) -> None:
    with pytest.raises(InputError, match="--style: .*model.onnx is a student"):
        stylize(str(_whole(folder / "model.onnx")), [str(folder / "anna.png")], str(folder / "out"), style="toy")


def test_photos_without_a_face_or_damaged_are_named_and_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (200, 200), (90, 120, 60)).save(folder / "meadow.png")
    (folder / "cut.png").write_bytes((folder / "anna.png").read_bytes()[:900])
    given = [str(folder / name) for name in ("meadow.png", "absent.jpg", "cut.png", "anna.png")]
    assert stylize(str(_whole(folder / "model.onnx")), given, str(folder / "out")) == 2
    said = capsys.readouterr()
    assert "meadow.png: no face found" in said.err and "absent.jpg: no such file" in said.err
    assert "cut.png: truncated" in said.err and "4 photographs, 3 skipped" in said.out
    assert (folder / "out" / "anna-pair.png").is_file()


def test_two_photos_of_one_name_both_stay(folder: Path, portrait: np.ndarray) -> None:
    (folder / "other").mkdir()
    Image.fromarray(portrait[:, ::-1].copy()).save(folder / "other" / "anna.png")
    given = [str(folder / "anna.png"), str(folder / "other"), str(folder / "anna.png")]
    assert stylize(str(_whole(folder / "model.onnx")), given, str(folder / "out")) == 0
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == ["anna-2-pair.png", "anna-2-stylized.png", "anna-pair.png", "anna-stylized.png"]


def test_photo_that_is_named_like_a_result_is_not_overwritten(folder: Path) -> None:
    before = (folder / "anna.png").read_bytes()
    (folder / "anna-pair.png").write_bytes(before)
    given = [str(folder / "anna.png"), str(folder / "anna-pair.png")]
    assert stylize(str(_whole(folder / "model.onnx")), given, str(folder)) == 0
    assert (folder / "anna-pair.png").read_bytes() == before and (folder / "anna-2-pair.png").is_file()


def test_second_run_over_a_folder_leaves_its_own_results_out(folder: Path) -> None:
    model = str(_whole(folder / "model.onnx"))
    assert stylize(model, [str(folder)], str(folder)) == 0
    assert stylize(model, [str(folder)], str(folder)) == 0
    assert sorted(p.name for p in folder.glob("*.png")) == ["anna-pair.png", "anna-stylized.png", "anna.png"]


def test_folder_without_pictures_counts_as_skipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert stylize(str(_whole(folder / "model.onnx")), [str(folder / "empty")], str(folder / "out")) == 2
    assert "0 files, no picture among them" in capsys.readouterr().err


def test_command_line_reports_a_wrong_model_without_a_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["stylize", "kstylegan-4k", str(folder / "anna.png"), "--out", str(folder / "out")]) == 2
    assert capsys.readouterr().err.startswith("kcompress: kstylegan-4k: no such model; give a shipped teacher")
    assert not (folder / "out").exists()


def test_no_photograph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="photographs: none given"):
        stylize("kstylegan-128", [], str(tmp_path))


def test_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="out: a file; give a folder for the results"):
        stylize(str(_whole(tmp_path / "model.onnx")), ["a.png"], str(tmp_path / "out"))


def test_output_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        stylize(str(_whole(tmp_path / "model.onnx")), ["a.png"], str(tmp_path / "file" / "out"))


def test_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.pth").write_bytes(b"PK\x03\x04 something pickled")
    with pytest.raises(InputError, match=r"network\.pth: not a teacher that can be loaded .*; give its .safetensors"):
        open_model(str(tmp_path / "network.pth"))


def test_checkpoint_of_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"architecture": '{"family": "diffusion"}'})
    with pytest.raises(InputError, match=r"family 'diffusion' is unknown"):
        open_model(str(path))


def test_missing_onnx_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.onnx: no such file"):
        open_model(str(tmp_path / "model.onnx"))


def test_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("not a network")
    with pytest.raises(InputError, match="not an ONNX file that the runtime opens"):
        open_model(str(tmp_path / "model.onnx"))


def test_onnx_with_other_inputs_is_refused(tmp_path: Path) -> None:
    shape = ["n", 3, "h", "w"]
    path = _network(tmp_path / "m.onnx", [helper.make_node("Neg", ["x"], ["y"])], {"x": shape}, {"y": shape})
    with pytest.raises(InputError, match="inputs x and outputs y, where 'photo' and 'image'"):
        open_model(str(path))


def test_onnx_for_grey_pictures_is_refused(tmp_path: Path) -> None:
    shape = ["n", 1, "h", "w"]
    path = _network(
        tmp_path / "m.onnx", [helper.make_node("Neg", ["photo"], ["image"])], {"photo": shape}, {"image": shape}
    )
    with pytest.raises(InputError, match=r"its input 'photo' is tensor\(float\) \['n', 1, 'h', 'w'\]"):
        open_model(str(path))


def test_onnx_of_one_fixed_size_is_refused(tmp_path: Path) -> None:
    shape = [1, 3, 128, 96]
    path = _network(
        tmp_path / "m.onnx", [helper.make_node("Neg", ["photo"], ["image"])], {"photo": shape}, {"image": shape}
    )
    with pytest.raises(InputError, match="takes photos of 128x96 only; export it with free height and width"):
        open_model(str(path))


def test_core_without_a_fixed_size_is_refused(tmp_path: Path) -> None:
    shape = ["n", 3, "h", "w"]
    path = _network(
        tmp_path / "m.onnx", [helper.make_node("Neg", ["photo"], ["maps"])], {"photo": shape}, {"maps": shape}
    )
    with pytest.raises(InputError, match="a core has one fixed square size"):
        open_model(str(path))


def test_core_with_another_number_of_maps_is_refused(portrait: np.ndarray, tmp_path: Path) -> None:
    shape = ["n", 3, 16, 16]
    path = _network(
        tmp_path / "m.onnx", [helper.make_node("Neg", ["photo"], ["maps"])], {"photo": shape}, {"maps": shape}
    )
    with pytest.raises(InputError, match=r"maps \[1, 3, 16, 16\] where \[1, 8, h, w\] is needed"):
        open_model(str(path))(portrait, photos.detect(portrait)[0].points)


def test_student_with_another_output_size_is_refused(portrait: np.ndarray, tmp_path: Path) -> None:
    node = helper.make_node("GlobalAveragePool", ["photo"], ["image"])
    path = _network(tmp_path / "m.onnx", [node], {"photo": ["n", 3, "h", "w"]}, {"image": None})
    with pytest.raises(InputError, match=r"result \[1, 3, 1, 1\] for a photo of"):
        open_model(str(path))(portrait, photos.detect(portrait)[0].points)


def test_student_that_fails_on_a_photo_is_named(portrait: np.ndarray, tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["photo", "shape"], ["image"])
    constants = {"shape": np.array([1, 3, 7, 7], np.int64)}
    path = _network(tmp_path / "m.onnx", [node], {"photo": ["n", 3, "h", "w"]}, {"image": None}, constants)
    with pytest.raises(InputError, match=r"m\.onnx: fails on a photo 1x3x"):
        open_model(str(path))(portrait, photos.detect(portrait)[0].points)


def test_folder_that_is_no_tier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model\.onnx in it"):
        open_model(str(tmp_path))


def test_tier_without_a_manifest_is_refused(tmp_path: Path) -> None:
    _whole(tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"no manifest\.json in it, so nothing vouches for it"):
        open_model(str(tmp_path))


def test_tier_that_was_changed_is_refused(tmp_path: Path) -> None:
    tier = _tier(tmp_path / "cpu", core=True)
    data = bytearray((tier / "core.onnx").read_bytes())
    data[20] ^= 1
    (tier / "core.onnx").write_bytes(data)
    with pytest.raises(InputError, match=r"damaged tier .*content differs"):
        open_model(str(tier))
