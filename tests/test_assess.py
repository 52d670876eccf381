"""The measuring of a teacher: its table, bounds, set distances, turning heads, plan, and a whole tiny assessment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

import teachers
from compress.artifact import Artifact, hash_file
from compress.context import Context
from compress.errors import InputError, RecipeError
from compress.faces import PairRenderer
from compress.faces.turning import render_turn
from compress.judging import assessment, assessment_rows
from compress.judging.assessment import BOUNDED, PHOTOGRAPHS, RENDERS, judge, markdown
from compress.judging.facts import CATEGORIES, LABEL_BYTES
from compress.judging.metrics import consistency, distribution
from compress.judging.metrics.estimate import Estimate
from compress.networks import build_face_points, face_points
from compress.plan import plan
from compress.planning.assessment import assessment_plan
from compress.recipe import GateSettings, Measure, Style
from compress.shards import Shards, ShardWriter
from compress.stages import assess, renders
from compress.steps import AssessStep, RenderStep
from small_line import TRAINING, checkpoint, recipe
from small_test_set import POINTS, judges

SIDE = 96
STYLES: tuple[Style, ...] = ("fairy-tale", "toy")
LID_ERROR = 0.015
"""Share of the side; the middle of the lids of half the pictures is nearer."""
RENDERS_TOLD = RenderStep(size=SIDE, styles=STYLES, rendered=4, seed=900005, turns=2, frames=2)
ASSESS = "  assess: {photos: [faces], rendered: 16, rendered_seed: 9}\n"


def estimate(value: float, lower: float, upper: float) -> Estimate:
    return Estimate(value, lower, upper, 100)


@pytest.mark.parametrize(
    ("ends", "state"),
    [((0.97, 0.96, 0.99), "passed"), ((0.97, 0.94, 0.99), "undecided"), ((0.94, 0.9, 0.97), "failed")],
)
def test_row_passes_only_with_its_whole_interval(ends: tuple[float, float, float], state: str) -> None:
    assert judge("toy", PHOTOGRAPHS, "identity_rank1", estimate(*ends), {}).state == state


def test_number_that_could_not_be_computed_fails_and_is_null() -> None:
    row = judge("toy", PHOTOGRAPHS, "style_kid_share", estimate(np.nan, np.nan, np.nan), {})
    assert row.state == "failed" and assessment.as_dict(row)["value"] is None


def test_bounds_of_a_recipe_replace_those_of_the_table_and_renders_have_none() -> None:
    bounds = {"identity_rank1": GateSettings(min=0.5)}
    assert judge("toy", PHOTOGRAPHS, "identity_rank1", estimate(0.6, 0.55, 0.7), bounds).state == "passed"
    assert judge("toy", RENDERS, "identity_rank1", estimate(0.1, 0.0, 0.2), {}).state == ""


def test_recipes_can_bound_what_the_table_bounds() -> None:
    assert get_args(Measure) == tuple(name for name in assessment.MEASURES if name in BOUNDED)


def test_table_has_a_column_for_each_style() -> None:
    rows = [judge(style, PHOTOGRAPHS, "haar_ratio", estimate(1, 0.9, 1.1), {}) for style in ("toy", "moonlight")]
    text = markdown("T", rows, ["seen"])
    assert "| measure | bound | toy | moonlight |" in text and "at least 0.8, at most 1.25" in text
    assert text.count("1 (0.9 to 1.1), passed") == 2 and text.endswith("- seen\n")


def test_kid_share_follows_how_far_the_set_has_come() -> None:
    random = np.random.default_rng(0)
    photos, wanted = random.normal(0, 1, (60, 8)), random.normal(1, 1, (50, 8))
    people = np.arange(60), np.arange(100, 150)
    shares = {
        share: distribution.kid_share(photos + share, photos, wanted, 0, people)[2].value for share in (0.0, 0.5, 1.0)
    }
    assert shares[0.0] == pytest.approx(1) and 0.1 < shares[0.5] < 0.9 and abs(shares[1.0]) < 0.1


def test_kid_share_equals_the_sums_of_its_definition() -> None:
    random = np.random.default_rng(1)
    drawn, photos, wanted = (random.normal(size=(n, 3)) for n in (5, 5, 4))
    people = np.array([0, 0, 1, 2, 3]), np.array([3, 5, 6, 7])

    def mean(x: Any, y: Any, first: Any, second: Any) -> float:
        kernel = distribution.polynomial_kernel(x, y)
        return float(kernel[first[:, None] != second].mean())

    def distance(x: Any) -> float:
        a, b = people
        return mean(x, x, a, a) + mean(wanted, wanted, b, b) - 2 * mean(x, wanted, a, b)

    found = [part.value for part in distribution.kid_share(drawn, photos, wanted, 0, people)]
    assert found == pytest.approx([distance(drawn), distance(photos), distance(drawn) / distance(photos)])


def test_margin_leaves_out_photos_of_the_same_person() -> None:
    photo, drawn = np.eye(3), np.array([[0.8, 0.6, 0], [0, 1, 0], [0.6, 0, 0.8]])
    found = assessment_rows.margins(photo, drawn, np.array(["a", "a", "b"]))
    assert found == pytest.approx([0.8, 1, 0.5])


def test_worst_group_needs_enough_pictures() -> None:
    people = {name: np.full(12, b"", f"S{LABEL_BYTES}") for name in CATEGORIES} | {"person": np.arange(12)}
    people["skin"][:6], people["pose"][6:8] = b"dark", b"profile"
    hits = np.array([1, 1, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1.0])
    shares = dict(assessment_rows.group_shares(hits, people))
    worst = assessment_rows.worst_group(shares)["worst_group_rank1"]
    assert list(shares) == ["skin dark (6 pictures)", "pose profile (2 pictures)"]
    assert worst.value == pytest.approx(5 / 6) and worst.note == "skin dark (6 pictures)"
    assert assessment_rows.worst_group({}) == {}


def test_shifts_are_two_pixels_in_directions_of_their_own() -> None:
    steps = [assessment_rows.shift_matrix(3, row)[:, 2] for row in range(5)]
    assert np.hypot(*np.array(steps).T) == pytest.approx(2) and len({tuple(step) for step in steps}) == 5


@pytest.fixture(scope="module")
def renderer() -> PairRenderer:
    return PairRenderer(SIDE, styles=STYLES)


@pytest.fixture(scope="module")
def turn(renderer: PairRenderer) -> dict[str, np.ndarray]:
    frames = list(render_turn(renderer, 900003, 2, 3))
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def test_turn_has_the_documented_fields(turn: dict[str, np.ndarray]) -> None:
    shapes = {"photo": (3, SIDE, SIDE, 3), "cartoon": (3, 2, SIDE, SIDE, 3), "points": (3, 5, 2),
              "flow": (3, 3, 2, SIDE, SIDE), "visible": (3, 3, SIDE, SIDE)}  # fmt: skip
    assert {name: column.shape for name, column in turn.items()} == shapes
    assert not turn["flow"][0].any() and not turn["visible"][0].any()


def test_true_flow_of_a_turn_explains_its_frames_and_wrong_flow_does_not(turn: dict[str, np.ndarray]) -> None:
    for pictures, number in ((turn["photo"], 0), (turn["cartoon"][:, 0], 1)):
        flow, visible = turn["flow"][:, number], turn["visible"][:, number]
        assert consistency.moving(flow[1], visible[1]).sum() > 300
        for measure in (consistency.turning_error, consistency.residual_motion):
            right, wrong = (measure(pictures, f, visible).mean() for f in (flow, -flow))
            assert right < 0.6 * wrong, measure


def test_frames_that_show_nothing_again_are_not_numbers(turn: dict[str, np.ndarray]) -> None:
    found = consistency.turning_error(turn["photo"], turn["flow"][:, 0], turn["visible"][:, 0] * 0)
    assert np.isnan(found).all()


def test_points_are_found_in_photos_and_cartoons_alike(renderer: PairRenderer) -> None:
    network = face_points.load()
    pairs = [renderer.pair(900004, index) for index in range(8)]
    for kind in ("photo", "cartoon"):
        pictures, points = (np.concatenate([pair[name].reshape(-1, *pair[name].shape[-n:]) for pair in pairs])
                            for name, n in ((kind, 3), (f"landmarks_{kind}", 2)))  # fmt: skip
        lids = np.linalg.norm(network.find(pictures) - points, axis=2)[:, :8]
        assert np.median(lids) < LID_ERROR * SIDE, kind


def test_eyes_that_are_magnified_are_found_open_wider(renderer: PairRenderer) -> None:
    """A picture whose eyes alone are stretched: what looks at the rest of the face finds no change."""
    network, factor = face_points.load(), 1.4
    pictures, wider = [], []
    for index in range(8):
        pair = renderer.pair(900004, index)
        rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + np.float32(0.5)
        source = rows.copy()
        for lids in face_points.EYES:
            x, y = pair["landmarks_photo"][list(lids)].mean(axis=0)
            near = np.clip((0.14 * SIDE - np.hypot(columns - x, rows - y)) / (0.05 * SIDE), 0, 1)
            source += near * (rows - y) * (1 / factor - 1)
        pictures.append(pair["photo"])
        wider.append(cv2.remap(pair["photo"], columns - 0.5, source - 0.5, cv2.INTER_CUBIC))
    before, after = (face_points.eye_opening(network.find(np.stack(p))).mean() for p in (pictures, wider))
    assert 1.2 < after / before < 1.5


@pytest.mark.parametrize("kind", ["face", "eye"])
def test_lessons_move_points_with_their_picture(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson, side, dot = {
        "face": (build_face_points.face_lesson, face_points.FACE_SIDE, 3),
        "eye": (build_face_points.eye_lesson, face_points.EYE_SIDE, 3),
    }[kind]
    monkeypatch.setattr(build_face_points, "develop", lambda picture, random: picture)
    points = np.random.default_rng(0).uniform(40, 88, (24, 2)).astype(np.float32)
    points[:8] = [[78, 60], [90, 60], [84, 56], [84, 64], [50, 60], [38, 60], [44, 56], [44, 64]]
    picture = np.zeros((128, 128, 3), np.uint8)
    for x, y in points[[dot, face_points.MIRRORED[dot]]] - 0.5:
        cv2.circle(picture, (round(float(x * 16)), round(float(y * 16))), 24, (255, 255, 255), -1, shift=4)
    sample: dict[str, np.ndarray] = {"photo": picture[None], "cartoon": picture[None, None]}
    sample |= {"landmarks_photo": points[None], "landmarks_cartoon": points[None, None]}
    random = np.random.default_rng(1)
    for _ in range(6):
        seen, places = lesson(sample, 0, random)
        x, y = np.clip(places[dot] * side, 0, side - 1).astype(int)
        assert np.asarray(seen)[y, x].mean() > 100


def test_training_writes_weights_that_can_be_loaded(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build_face_points, "WEIGHTS", tmp_path / "points.safetensors")
    build_face_points.main([str(rendered / "pairs"), "1"])
    monkeypatch.setattr(face_points, "WEIGHTS", tmp_path / "points.safetensors")
    monkeypatch.setattr(face_points, "SHA256", hash_file(tmp_path / "points.safetensors"))
    assert face_points.load().find(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, 24, 2)
    assert "cartoon 1: lids" in capsys.readouterr().out


def test_mirrored_points_change_sides() -> None:
    assert [face_points.MIRRORED[face_points.MIRRORED[i]] for i in range(24)] == list(range(24))


def test_changed_weights_of_the_points_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_points, "SHA256", "0" * 64)
    with pytest.raises(InputError, match=r"SHA-256 .* where 000000000000\.\.\. is expected"):
        face_points.load()


def faces(folder: Path) -> Path:
    folder.mkdir()
    (folder / "one.jpg").write_bytes(b"photo")
    return folder


def test_assessment_is_steps_of_a_training_recipe(tmp_path: Path) -> None:
    faces(tmp_path / "faces")
    steps = {step.name: dict(step.inputs) for step in plan(recipe(tmp_path, TRAINING + ASSESS)).steps}
    read = {"photos": "assess-photos", "renders": "assess-renders", "teacher": "teach"}
    assert list(steps) == ["pairs", "teach", "assess-photos", "assess-renders", "assess"] and steps["assess"] == read


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{photos: [nowhere]}", r"training.assess.photos\[0\] .*nowhere: there is no such folder"),
        ("{photos: [faces], facts: none.csv}", r"training.assess.facts .*none.csv: there is no such file"),
        ("{photos: [faces], rendered_seed: 1}", "training.assess.rendered_seed .*1 is the seed of training.pairs.seed"),
        ("{photos: [faces], bounds: {haar_ratio: {}}}", "bounds.haar_ratio .*neither min nor max"),
        ("{photos: [faces], bounds: {haar: {min: 1}}}", "training.assess.bounds.haar"),
        ("{photos: [faces], rendered: 3}", "training.assess.rendered"),
    ],
)
def test_what_an_assessment_cannot_use_is_found_by_the_plan(tmp_path: Path, text: str, problem: str) -> None:
    faces(tmp_path / "faces")
    with pytest.raises(RecipeError) as caught:
        plan(recipe(tmp_path, TRAINING + f"  assess: {text}\n"))
    assert re.search(problem, str(caught.value))


def test_photographs_of_the_training_cannot_judge_it(tmp_path: Path) -> None:
    faces(tmp_path / "faces")
    with pytest.raises(RecipeError, match="share pictures; the same faces would be learned and judged"):
        plan(recipe(tmp_path, TRAINING + "  unpaired: {photos: [faces]}\n" + ASSESS))


def teacher_file(folder: Path, styles: tuple[str, ...]) -> Path:
    record = {"family": "kstylegan", "size": SIDE, "channels": [16, 16, 32, 32, 32], "styles": list(styles)}
    record |= {"blocks": [0, 0, 0, 0], "render_blocks": [0, 0, 0], "coefficients": 4, "style_channels": 8}
    teachers.save(teachers.build(record), folder / "teacher.safetensors")
    return folder / "teacher.safetensors"


def test_command_plans_all_styles_that_a_teacher_has(tmp_path: Path) -> None:
    path, photos = teacher_file(tmp_path, ("fairy-tale", "toy")), str(faces(tmp_path / "faces"))
    steps = assessment_plan(str(path), [photos], "", [], 16, tmp_path / "out").steps
    assert [step.name for step in steps] == ["assess-photos", "assess-renders", "assess"]
    assert isinstance(steps[2].settings, AssessStep) and steps[2].settings.styles == ("fairy-tale", "toy")


@pytest.mark.parametrize(
    ("teacher", "style", "problem"),
    [
        ("nowhere.safetensors", [], "nowhere.safetensors: there is no such file"),
        ("broken.safetensors", [], "broken.safetensors: not a teacher"),
        ("teacher.safetensors", ["toy"], "--style toy: teacher.safetensors has no such style; it has fairy-tale, own"),
        ("teacher.safetensors", ["own"], "style own is none of the renderer's"),
    ],
)
def test_command_names_what_it_cannot_assess(tmp_path: Path, teacher: str, style: list[str], problem: str) -> None:
    teacher_file(tmp_path, ("fairy-tale", "own"))
    checkpoint(tmp_path / "broken.safetensors")
    with pytest.raises(InputError, match=re.escape(problem)):
        assessment_plan(str(tmp_path / teacher), [str(tmp_path)], "", style, 16, tmp_path / "out")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory, renderer: PairRenderer) -> Path:
    """What the renders stage leaves, for two styles; it opens no renderer of its own."""
    folder = tmp_path_factory.mktemp("renders")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)
        patch.setattr("compress.faces.parallel._renderer", lambda *told: renderer)
        patch.setattr("compress.faces.PairRenderer", lambda *told, **named: renderer)
        assert renders.run(RENDERS_TOLD, {}, folder, Context()) == {"pairs": 4, "turns": 2, "frames": 4}
    return folder


def test_renders_go_on_behind_what_is_stored(rendered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.faces.PairRenderer", None)
    before = hash_file(rendered / "turns" / "00000.photo.npy")
    renders.run(RENDERS_TOLD, {}, rendered, Context())
    assert hash_file(rendered / "turns" / "00000.photo.npy") == before


def photographs(folder: Path, source: Shards) -> Path:
    """Six aligned 'photographs' of five people, as the inputs stage writes them."""
    with ShardWriter(folder) as writer:
        for row in range(6):
            photo = np.roll(source.read([row % 4], ["photo"])["photo"][0], row, axis=0)
            labels = {name: np.array(b"dark" if name == "skin" else b"", f"S{LABEL_BYTES}") for name in CATEGORIES}
            person = np.array(f"p{min(row, 4)}", "S64")
            points = (POINTS * (SIDE / 32)).astype(np.float32)
            writer.add({"photo": photo, "points": points, "name": np.array(f"f{row}", "S8"), "person": person} | labels)
    return folder


@pytest.fixture
def parts(tmp_path: Path, rendered: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Artifact]]:
    monkeypatch.setattr(assess, "open_judges", lambda settings, device: judges())
    photos = photographs(tmp_path / "photos", Shards(rendered / "pairs"))
    teacher_file(tmp_path, ("fairy-tale", "toy"))
    yield {"photos": Artifact(photos, {}), "renders": Artifact(rendered, {}), "teacher": Artifact(tmp_path, {})}


def settings_of(**changed: Any) -> AssessStep:
    told: dict[str, Any] = {"styles": STYLES, "seed": 3, "drawn_renders": 4, "shifted": 3, "sheet": 4, "bounds": {}}
    return AssessStep(**told | changed)


def test_new_teacher_is_measured_in_every_style(parts: dict[str, Artifact], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    numbers = assess.run(settings_of(), parts, out, Context())
    record = json.loads((out / "assessment.json").read_text())
    found = {(row["style"], row["part"], row["measure"]): row for row in record["rows"]}
    for style in ("fairy-tale", "toy"):
        # A new network gives back the photo: nothing is lost and nothing drawn.
        assert found[style, "photographs", "identity_rank1"]["value"] == 1
        assert re.search(
            "KID .* of .*; photos to rendered photos", found[style, "photographs", "style_kid_share"]["note"]
        )
        assert found[style, "photographs", "eye_opening_ratio"]["value"] == pytest.approx(1, abs=0.05)
        assert found[style, "photographs", "new_lines"]["value"] >= 0 <= found[style, "renders", "new_lines"]["value"]
        assert found[style, "renders", "turn_ratio"]["value"] > 1  # its photo does not turn as the cartoon does
        assert set(numbers["rows"][style]) == set(BOUNDED)
        assert record["groups"][style][0]["group"] == "skin dark (6 pictures)"
    assert record["photographs"] == {"images": 6, "people": 5}
    assert "| measure | bound | fairy-tale | toy |" in (out / "assessment.md").read_text()
    assert (out / "faces.png").stat().st_size > 1000


def test_pictures_are_drawn_once(parts: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assess.run(settings_of(), parts, out, Context())
    first = (out / "assessment.json").read_text()
    monkeypatch.setattr(assess.Drawer, "draw", None)
    assess.run(settings_of(), parts, out, Context())
    assert (out / "assessment.json").read_text() == first


def test_what_is_not_asked_for_is_left_out(parts: dict[str, Artifact], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assess.run(settings_of(styles=("toy",), drawn_renders=0, shifted=0), parts, out, Context())
    rows = json.loads((out / "assessment.json").read_text())["rows"]
    assert {row["measure"] for row in rows if row["part"] == "renders"} == {"turn_ratio", "turn_residual_px"}
    assert "shift_ratio" not in {row["measure"] for row in rows}


def test_styles_are_drawn_by_their_own_number(parts: dict[str, Artifact], tmp_path: Path) -> None:
    network = teachers.load(tmp_path / "teacher.safetensors")
    drawer = assess.open_teacher(tmp_path / "teacher.safetensors", ("toy",), "cpu")
    assert drawer.styles == (1,) and network.architecture.styles == ("fairy-tale", "toy")


def test_style_that_the_teacher_has_not_is_named(parts: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no style moonlight; it has fairy-tale, toy"):
        assess.run(settings_of(styles=("moonlight",)), parts, tmp_path, Context())


def test_too_few_photographs_are_refused(parts: dict[str, Artifact], tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "few") as writer:
        writer.add({name: column[0] for name, column in Shards(parts["photos"].path).read([0]).items()})
    with pytest.raises(InputError, match="assess: 1 photographs show a face, at least 4 are needed"):
        assess.run(settings_of(), parts | {"photos": Artifact(tmp_path / "few", {})}, tmp_path, Context())
