"""Calibration: bounds between clean and defect, their arithmetic, what is kept of trials, and floors of nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import small_test_set as small
from compress.artifact import Artifact
from compress.context import Context, Progress
from compress.errors import StageError
from compress.judging import calibration, gates, noise_floors, proposals
from compress.judging.calibration import Proposals, calibrate, propose_all
from compress.judging.defects import DEFECTS, campaign
from compress.judging.defects.campaign import CLEAN, Place, measure
from compress.judging.defects.trials import Ground, TestSteps, fired, judge
from compress.judging.metrics import intervals
from compress.judging.metrics.estimate import Estimate
from compress.judging.proposals import Trial, margin_errors, propose
from compress.judging.variants import KINDS, change
from compress.recipe import GateSettings, JudgeSettings
from compress.shards import Shards, ShardWriter

SIDE = small.SIDE


def estimate(value: float, error: float = 0.1, n: int = 100) -> Estimate:
    return Estimate(value, value - 1.96 * error, value + 1.96 * error, n)


def trial(value: float, strength: str = "medium", expected: bool = True, error: float = 0.1) -> Trial:
    return Trial("blur", strength, expected, estimate(value, error))


def test_bound_lies_halfway_between_clean_limit_and_defect() -> None:
    found = propose("psnr_mean_db", [estimate(28)], None, [trial(20)], 30)
    limit, near = 28 - margin_errors(30) * 0.1, 20 + 1.96 * 0.1
    assert found.min == pytest.approx((limit + near) / 2, rel=0.02)
    assert found.max is None
    assert found.catches == ("blur medium",)


def other(name: str, value: float, strength: str = "medium", expected: bool = True) -> Trial:
    return Trial(name, strength, expected, estimate(value))


def test_mildest_medium_defect_that_can_be_told_apart_decides() -> None:
    near = [other("gamma", 4), other("halos", 1.2), other("blur", 2.5, "weak")]
    far, both = (propose("perceptual_mean", [estimate(1)], None, t, 30) for t in ([trial(9)], [trial(9), *near]))
    assert far.max is not None and both.max is not None
    assert 1 + margin_errors(30) * 0.1 < both.max < 4 < far.max < 9
    assert both.catches == ("blur medium", "gamma medium")
    assert [name for name, _ in both.unseparated] == ["halos medium"]


def test_defect_seen_in_one_part_of_the_test_set_is_enough() -> None:
    both = propose("perceptual_mean", [estimate(1)] * 2, None, [trial(1.1), trial(9)], 30)
    assert both.max is not None and both.max > 4
    assert both.catches == ("blur medium",) and not both.unseparated


def test_worst_part_of_the_test_set_decides() -> None:
    found = propose("psnr_mean_db", [estimate(28), estimate(26)], None, [], 30)
    assert found.min is not None and found.min <= 26 - margin_errors(30) * 0.1
    assert found.clean.value == 26


def test_defect_too_near_is_told_with_the_images_it_needs() -> None:
    found = propose("perceptual_mean", [estimate(1, n=100)], None, [trial(1.3)], 30)
    ((name, images),) = found.unseparated
    assert name == "blur medium"
    error = 0.1 * math.sqrt(100 / images)
    again = propose("perceptual_mean", [estimate(1, error, images)], None, [trial(1.3, error=error)], 30)
    assert again.catches == ("blur medium",) and not again.unseparated
    assert f"cannot separate blur medium (about {images} images)" in found.why


def test_defect_that_moves_nothing_needs_no_images() -> None:
    found = propose("perceptual_mean", [estimate(1)], None, [trial(0.9)], 30)
    assert found.unseparated == (("blur medium", 0),)
    assert "blur medium (it does not move)" in found.why


def test_bound_near_1_lets_a_better_student_pass() -> None:
    halos = Trial("halos", "medium", True, estimate(0.9, 0.01))
    found = propose("haar_ratio", [estimate(0.7, 0.01)], None, [trial(0.4), halos], 30)
    assert found.min is not None and found.max is not None
    assert 0.4 < found.min < 0.7 and found.max > 1
    assert "halos medium (it does not move)" in found.why


def test_other_gates_do_not_pull_a_bound() -> None:
    alone, beside = (propose("ssim_mean", [estimate(0.9, 0.01)], None, trials, 30)
                     for trials in ([], [trial(0.2, expected=False)]))  # fmt: skip
    assert alone.min == beside.min
    assert (beside.catches, beside.others) == ((), 1)


def test_student_as_like_the_photo_as_its_reference_passes() -> None:
    found = propose("int8_identity_delta_mean", [estimate(0.02, 0.001)], None, [], 30)
    assert found.min is not None and -0.02 < found.min < 0


def test_binding_floor_must_hold_too_if_it_has_enough_samples() -> None:
    floor = estimate(20, n=40)
    told, held, few = (propose("psnr_mean_db", [estimate(28)], f, [], 30, binding)
                       for f, binding in ((floor, False), (floor, True), (estimate(20, n=20), True)))  # fmt: skip
    assert told.min is not None and held.min is not None
    assert told.min == few.min and told.min > 25
    assert 18 < held.min < 20
    assert held.clean.value == 28
    flat = propose("psnr_mean_db", [estimate(28)], Estimate(20, 20, 20, 40), [], 30, True)
    assert flat.min == told.min


def test_sample_without_spread_is_not_taken_for_certain() -> None:
    for lower in (1.0, 0.9999):
        found = propose("rank1_relative", [Estimate(1, lower, 1, 100, method="bootstrap")], None, [], 30)
        assert found.min is not None and 0.9 < found.min < 0.95


def test_counted_number_gets_levels_for_other_machines() -> None:
    found = propose("parity_unoptimised_levels", [Estimate.exact(0.5)], None, [], 30)
    assert found.max == pytest.approx(2.5)
    caught = propose(
        "parity_unoptimised_levels", [Estimate.exact(0.5)], None, [Trial("a", "medium", True, Estimate.exact(9))], 30
    )
    assert (caught.max, caught.catches) == (found.max, ("a medium",))


def test_nothing_clean_is_a_bug() -> None:
    with pytest.raises(ValueError, match="psnr_mean_db: no clean value to start from"):
        propose("psnr_mean_db", [], None, [], 30)


def test_proposed_bound_raises_no_alarm_in_a_hundred_repeats() -> None:
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(5):
        first = intervals.mean(random.gamma(4, 1, 100), 0)
        bound = {"perceptual_mean": GateSettings(max=propose("perceptual_mean", [first], None, [], 30).max)}
        repeats = [intervals.mean(random.gamma(4, 1, 100), 0) for _ in range(100)]
        results = [gates.evaluate(bound, {"rendered": {"perceptual_mean": repeat}})[0] for repeat in repeats]
        alarms += sum(not result.passed for result in results)
    assert alarms == 0


def test_margin_is_that_of_a_normal_number_drawn_twice() -> None:
    chance = proposals.ALARMS / 100 / 30
    draws = np.random.default_rng(0).standard_normal((2, 2_000_000))
    alarms = np.mean(draws[1] + proposals.Z > draws[0] + margin_errors(30))
    assert alarms == pytest.approx(chance, rel=0.25)


def test_yaml_block_is_what_a_recipe_reads() -> None:
    import yaml

    one = propose("haar_ratio", [estimate(0.7, 0.01)], None, [trial(0.4)], 30)
    read = yaml.safe_load(Proposals("cpu", "export-cpu", (one,), {}).yaml())["gates"]["haar_ratio"]
    settings = GateSettings(**read)
    assert (settings.min, settings.max) == (pytest.approx(one.min, rel=1e-3), pytest.approx(one.max, rel=1e-3))


def steps(root: Path) -> TestSteps:
    inputs, targets = small.write(root, 40)
    with ShardWriter(root / "features") as writer:
        for _ in range(40):
            writer.add({"nothing": np.zeros(1, np.uint8)})
    return TestSteps(inputs, targets, root / "features", motion(root))


def motion(root: Path) -> Path:
    """Changed photos of every row, and of each the picture of a teacher that is as good as pointwise."""
    photos = Shards(root / "inputs")
    with ShardWriter(root / "motion" / "variants") as writer:
        for row in range(len(photos)):
            changed = change(photos.read([row], ["photo"])["photo"][0], KINDS[row % 3], np.random.default_rng(row))
            teacher = np.rint(127.5 + 0.8 * (changed.photo.astype(float) - 127.5)).clip(0, 255).astype(np.uint8)
            fields = {"row": np.array(row, np.uint32), "kind": np.array(KINDS[row % 3].encode(), "S16")}
            writer.add({**fields, "photo": changed.photo, "teacher": teacher, "matrix": np.float32(changed.matrix)})
    ShardWriter(root / "motion" / "videos").close()
    return root / "motion"


def place(root: Path, **changes: object) -> Place:
    return Place(steps(root), None, JudgeSettings(), 0, **changes)  # type: ignore[arg-type]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[campaign.Which]:
    """Trials that cost nothing, and which of them were measured."""
    seen: list[campaign.Which] = []

    def trial(place: Place, which: campaign.Which) -> campaign.Measured:
        seen.append(which)
        shown = {
            "psnr_mean_db": estimate(28.0 if which[0] == CLEAN else 20.0),
            "haar_ratio": Estimate(0.7, math.nan, 0.8, 9),
        }
        return {"rendered": shown}

    monkeypatch.setattr(campaign, "_trial", trial)
    return seen


def test_trials_are_measured_once_and_read_back(tmp_path: Path, counted: list[campaign.Which]) -> None:
    at, record = place(tmp_path), tmp_path / "kept" / "trials.jsonl"
    first = measure(at, [(CLEAN, "weak"), ("blur", "weak")], record, Progress(), 1)
    again = measure(at, [("blur", "weak"), ("blur", "medium")], record, Progress(), 1)
    assert counted == [(CLEAN, "weak"), ("blur", "weak"), ("blur", "medium")]
    shown = again["blur", "weak"]["rendered"]
    assert shown["psnr_mean_db"] == first["blur", "weak"]["rendered"]["psnr_mean_db"]
    assert math.isnan(shown["haar_ratio"].lower)


def test_line_that_was_cut_off_is_measured_again(tmp_path: Path, counted: list[campaign.Which]) -> None:
    at, record = place(tmp_path), tmp_path / "trials.jsonl"
    both: list[campaign.Which] = [("blur", "weak"), ("blur", "medium")]
    measure(at, both, record, Progress(), 1)
    record.write_text(record.read_text()[:-30])
    for _ in range(2):
        assert list(measure(at, both, record, Progress(), 1)) == both
    assert counted[2:] == [("blur", "medium")]


def test_trials_of_other_seeds_or_amounts_do_not_count(
    tmp_path: Path, counted: list[campaign.Which], monkeypatch: pytest.MonkeyPatch
) -> None:
    at, record = place(tmp_path), tmp_path / "trials.jsonl"
    measure(at, [("blur", "weak")], record, Progress(), 1)
    measure(Place(at.steps, None, at.judges, 1), [("blur", "weak")], record, Progress(), 1)
    from dataclasses import replace

    monkeypatch.setitem(DEFECTS, "blur", replace(DEFECTS["blur"], amounts=(0.1, 0.9, 2)))
    measure(at, [("blur", "weak")], record, Progress(), 1)
    assert len(counted) == 3


def ground(root: Path) -> Ground:
    """The teacher itself on a small test set, without motion."""
    at = steps(root)
    whole = small.TestSet(Shards(at.inputs), Shards(at.targets))
    return Ground(whole, whole, None, None, small.judges(), frozenset({"group_psnr_gap_db"}), Context())


def test_clean_teacher_is_perfect_and_its_defects_are_named(tmp_path: Path) -> None:
    at = ground(tmp_path)
    bounds = {"haar_ratio": GateSettings(min=0.9, max=1.1), "colour_shift_mean": GateSettings(max=1)}
    assert not fired(judge(bounds, at.clean()))
    named = {defect: fired(judge(bounds, at.trial(defect, "strong")))[0].name for defect in ("blur", "colour_cast")}
    assert named == {"blur": "haar_ratio", "colour_cast": "colour_shift_mean"}


def test_trial_measures_groups_and_leaves_budgets_out(tmp_path: Path) -> None:
    at = ground(tmp_path)
    bounds = {"size_bytes": GateSettings(max=1), "group_psnr_gap_db": GateSettings(max=3)}
    (result,) = judge(bounds, at.trial("smeared_glasses", "strong"))
    assert (result.name, result.state) == ("group_psnr_gap_db", "failed")
    assert "glasses yes" in result.detail


def test_defect_of_the_file_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="dead_channels needs the tier's exported file; run the recipe first"):
        ground(tmp_path).trial("dead_channels", "weak")


def test_changed_picture_is_moved_back_to_its_place() -> None:
    still = np.repeat(np.linspace(0, 250, 64, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    changed = change(still, "crop", np.random.default_rng(0))
    undone = noise_floors.moved_back(changed.photo, changed.matrix, still)
    assert np.abs(undone.astype(int) - still).max() <= 2
    assert np.abs(changed.photo.astype(int) - still).max() > 4


def test_floors_are_near_nothing_for_a_pointwise_teacher(tmp_path: Path) -> None:
    from dataclasses import replace

    at = ground(tmp_path)
    floors = noise_floors.measure(replace(at, motion=tmp_path / "motion"))
    assert set(floors.sets) == set(noise_floors.SETS)
    assert floors.sets["kid_delta_upper"].lower < 0 < floors.sets["kid_delta_upper"].upper
    assert floors.sets["sliced_wasserstein"].value > 0
    assert 20 < floors.pictures["psnr_mean_db"].value < 60
    assert floors.of("haar_ratio") == floors.pictures["haar_ratio"]


def test_floors_of_pictures_need_enough_changed_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_floors, "SPLITS", 2)
    assert not noise_floors.measure(ground(tmp_path)).pictures


@pytest.fixture
def floorless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_floors, "measure", lambda ground: noise_floors.Floors({}, {"psnr_mean_db": estimate(60)}))
    monkeypatch.setattr(Place, "open", lambda place, progress: None)


@pytest.mark.usefixtures("floorless")
def test_proposals_say_what_cannot_be_measured(tmp_path: Path, counted: list[campaign.Which]) -> None:
    found = propose_all(place(tmp_path), "cpu", tmp_path, Progress(), 1)
    lines = list(found.table())
    assert lines[0] == "tier cpu, from the teacher alone: no export of this tier is finished"
    assert any(line.startswith("psnr_mean_db: {min: ") and "28" in line for line in lines)
    assert "haar_ratio: not proposed, it could not be measured" in lines
    assert any(line.startswith("int8_psnr_db: not proposed, it needs the float student") for line in lines)
    assert ("dead_channels", "weak") not in counted and ("blur", "medium") in counted


def test_gates_that_the_test_set_cannot_tell_are_not_asked_for(tmp_path: Path) -> None:
    from compress.judging.facts import CATEGORIES

    with ShardWriter(tmp_path / "unknown") as writer:
        for row in range(40):
            writer.add({"person": np.array(f"{row}", "S64"), **{name: np.array("", "S16") for name in CATEGORIES}})
    at = Place(TestSteps(tmp_path / "unknown", tmp_path, tmp_path, None), None, JudgeSettings(), 0)
    left = calibration.measurable(at).wanted
    assert {gates.GATES[gate].needs for gate in left} == {"", "float", "openvino"}


def test_calibrate_runs_the_test_set_only_and_writes_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def carry_out(plan: object, runs: Path, progress: Progress) -> dict[str, Artifact]:
        asked.extend(step.name for step in plan.steps)  # type: ignore[attr-defined]
        return {name: Artifact(tmp_path / name, {"numbers": {"variants": 0, "frames": 0}}) for name in asked}

    one = propose("psnr_mean_db", [estimate(28)], None, [], 30)
    monkeypatch.setattr(calibration, "measurable", lambda place: place)
    monkeypatch.setattr(
        calibration, "propose_all", lambda place, tier, *rest: Proposals(tier, str(place.export), (one,), {})
    )
    recipe = Path(__file__).parent.parent / "recipes" / "quickstart.yaml"
    (tmp_path / "quickstart" / "defects").mkdir(parents=True)
    found = calibrate(recipe, "npu", tmp_path, Progress(), carry_out)
    assert asked == ["test-inputs", "test-targets", "test-features", "test-motion"]
    assert (found.tier, found.source) == ("npu", "None")
    written = (tmp_path / "quickstart" / "defects" / "npu.yaml").read_text()
    assert written.startswith("gates:\n  psnr_mean_db: {min: ")
