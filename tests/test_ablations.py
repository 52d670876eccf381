"""What ablations exchange: each variant does what its name says, the default stays as it was, recipes differ in one
thing, and the table adds up.
"""

from __future__ import annotations

import importlib.util
import math
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import teachers
from compress.errors import InputError
from compress.plan import plan
from compress.planning.reading import load
from compress.recipe import PhaseSettings, TeacherArchitecture, TeacherRecipe
from compress.shards import Shards, ShardWriter
from compress.shrinking import macs
from compress.steps import TeachStep
from compress.teaching import curve
from compress.teaching.pairs import PairBatches
from compress.teaching.tasks import teaching_loss
from teachers.blocks import STA, FSBlock, RepConv
from teachers.variants import BLOCKS, FUSIONS, MAPPINGS, AddFusion, ConcatFusion

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes" / "ablations").glob("*.yaml"))
TINY: dict[str, Any] = {
    "family": "kstylegan", "channels": [16, 16, 16, 32, 32], "blocks": [1, 1, 1, 1], "render_blocks": [1, 1, 1],
    "coefficients": 5, "style_channels": 16, "size": 32,
}  # fmt: skip
VARIANTS = [{"fusion": f} for f in FUSIONS] + [{"block": b} for b in BLOCKS] + [{"mapping": m} for m in MAPPINGS]
MACS_TOLERANCE = 0.03
FUSION_TOLERANCE = 1e-5  # sums in another order, float32


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_ablations", ROOT / "benchmarks" / "ablations.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(**changes: str) -> teachers.KStyleGAN:
    """A network that moves and draws: nothing in it is zero, as it would be before training."""
    torch.manual_seed(0)
    built = teachers.build({**TINY, **changes}).eval()
    for parameter in built.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return built


def photo() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(f"{k}-{x}" for k, x in v.items()))
def test_variant_learns_in_all_its_parts_and_fuses_exactly(variant: dict[str, str]) -> None:
    built = network(**variant)
    output = built(photo())
    geometry = output.geometry
    taught = (*output.images, *geometry.dense, geometry.rotation, geometry.landmarks, geometry.coefficients)
    torch.stack([x.square().sum() for x in (*taught, geometry.scale, geometry.light)]).sum().backward()
    idle = {name for name, p in built.named_parameters() if p.grad is None or not p.grad.any()}
    assert not idle
    image = output.image.detach()
    with torch.no_grad():
        assert torch.allclose(built.fuse()(photo()).image, image, atol=FUSION_TOLERANCE)
    assert built.record.items() >= variant.items()


@pytest.mark.parametrize("channels", [16, 64, 128])
def test_branches_of_a_block_fuse_into_one_convolution(channels: int) -> None:
    torch.manual_seed(0)
    block, x = FSBlock(channels), torch.randn(2, channels, 6, 6)
    shallow, inner = block.shallow, torch.randn(2, channels // 2, 6, 6)
    assert isinstance(shallow, RepConv) and shallow.point is not None
    with torch.no_grad():
        branches = shallow.wide(inner) + shallow.point(inner) + inner
        without = branches - inner
        before = block(x)
        for module in block.modules():
            if isinstance(module, RepConv):
                module.fuse()
        assert torch.allclose(shallow(inner), branches, atol=FUSION_TOLERANCE)
        assert not torch.allclose(shallow(inner), without, atol=0.1)
        assert torch.allclose(block(x), before, atol=FUSION_TOLERANCE)
    assert shallow.point is None


def test_default_is_the_design_and_keeps_its_layout() -> None:
    plain, named = network(), network(fusion="sta", block="fs", mapping="3d")
    assert list(plain.state_dict()) == list(named.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), named.state_dict().values(), strict=True))
    expected = {"render.0.sta.gate.weight", "encoder.blocks.0.0.squeeze.weight", "style.displacement.weight"}
    assert expected <= set(plain.state_dict())


@pytest.mark.parametrize(
    "channels", [(16, 32, 48, 64, 96), (16, 48, 128, 256, 384)], ids=["ablations", "shipped teacher"]
)
def test_residual_blocks_have_the_macs_of_fs_blocks(channels: tuple[int, ...]) -> None:
    example = torch.zeros(1, 3, 32, 32)
    counts = [
        macs.count(teachers.build({**TINY, "channels": channels, "block": block}).eval().fuse(), example).total
        for block in ("fs", "residual")
    ]
    assert abs(counts[1] / counts[0] - 1) < MACS_TOLERANCE


def test_only_the_mapping_in_3d_follows_the_head() -> None:
    flows = {}
    for mapping in MAPPINGS:
        built = network(mapping=mapping)
        geometry, feature, code = built.geometry(*built.encoder(photo())[2:])
        turned = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]).expand_as(geometry.rotation)
        _, w = built.style(geometry, feature, code, built.style.code(None, 2))
        straight = built.style.flow(geometry, feature, w)
        other = built.style.flow(type(geometry)(**{**vars(geometry), "rotation": turned}), feature, w)
        flows[mapping] = bool(straight.any()), not torch.allclose(straight, other)
    assert flows == {"3d": (True, True), "flow": (True, False), "rgb": (False, False)}


def test_fusions_pass_both_features_on() -> None:
    shallow, deep = torch.randn(1, 16, 5, 5), torch.randn(1, 32, 5, 5)
    torch.manual_seed(0)
    add = AddFusion(16, 32)
    assert torch.equal(add(shallow, deep), add.project(shallow) + deep)
    for fusion in (add, ConcatFusion(16, 32), STA(16, 32)):
        out = fusion(shallow, deep)
        assert out.shape == deep.shape
        assert not torch.allclose(out, fusion(0 * shallow, deep)) and not torch.allclose(out, fusion(shallow, 0 * deep))


@pytest.mark.parametrize("part", ["fusion", "block", "mapping"])
def test_unknown_part_is_refused_with_those_that_exist(part: str) -> None:
    with pytest.raises(ValueError, match=f"kstylegan {part}: 'magic' is unknown; known: "):
        teachers.build({**TINY, part: "magic"})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Random pairs of 32 px in one style."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    with ShardWriter(folder, 8) as writer:
        for _ in range(8):
            pictures = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
            labels, maps = np.ones((32, 32), np.uint8), rng.normal(size=(32, 32, 3)).astype(np.float16)
            sample = {
                "photo": pictures[0], "cartoon": pictures[1:], "flow": maps[None, ..., :2], "visible": labels[None],
                "labels_photo": labels, "labels_cartoon": labels[None], "position": maps, "normal": maps,
                "landmarks_photo": np.zeros((24, 2), np.float32), "rotation": np.eye(3, dtype=np.float32),
                "coefficients": np.zeros(5, np.float32), "light": np.zeros((9, 3), np.float32),
            }  # fmt: skip
            writer.add(sample)
    return Shards(folder)


def test_without_the_pyramid_only_the_largest_scale_is_supervised(pairs: Shards) -> None:
    batch, taught = PairBatches(pairs, 32, 2, 0).at(0), {}
    for pyramid in (True, False):
        built = network()
        loss, _ = teaching_loss(built(batch.photo), batch, {"picture": 1.0, "position": 1.0}, pyramid)
        loss.backward()
        heads = [*(f"render.{level}.head" for level in range(4)), "geometry.dense8", "geometry.dense4"]
        grads = [built.get_parameter(f"{head}.weight").grad for head in heads]
        taught[pyramid] = [grad is not None and bool(grad.any()) for grad in grads]
    assert taught == {True: [True] * 6, False: [False] * 3 + [True, False, True]}


def steps(**changes: Any) -> TeachStep:
    phases = (
        PhaseSettings(size=32, images=8, batch=4, learning_rate=1e-3),
        PhaseSettings(size=32, images=6, batch=2, learning_rate=1e-3),
    )
    architecture = TeacherArchitecture(channels=(16, 16, 16, 32, 32), coefficients=5)
    settings: dict[str, Any] = {
        "architecture": architecture,
        "phases": phases,
        "styles": ("fairy-tale",),
        "weights": {"picture": 1.0},
    }
    return TeachStep(**settings, precision="float32", ema=0.9, initial="", **changes)


def test_curve_is_measured_each_time_so_many_images_were_seen() -> None:
    assert curve.moments(steps(curve=5)) == {2: 8, 3: 10}
    assert curve.moments(steps(curve=4)) == {1: 4, 2: 8, 4: 12}
    assert not curve.moments(steps())


def test_curve_of_a_killed_training_goes_on_where_the_checkpoint_does(pairs: Shards, tmp_path: Path) -> None:
    built, settings = network(), steps(curve=4)
    weights = built.state_dict()
    first = curve.Curve(settings, pairs, tmp_path)
    for done in range(1, 5):
        first.measure(built, weights, done)
    assert [(done, images) for done, images, _ in first.values] == [(1, 4), (2, 8), (4, 12)]
    resumed = curve.Curve(settings, pairs, tmp_path, done=2)
    assert resumed.values == first.values[:2]
    resumed.measure(built, {name: value * 0.5 for name, value in weights.items()}, 4)
    assert resumed.values[-1][:2] == (4, 12) and resumed.values[-1][2] != first.values[-1][2]
    assert not curve.Curve(settings, pairs, tmp_path).values  # begun anew


def recipe_of(path: Path) -> TeacherRecipe:
    recipe = load(path).recipe
    assert isinstance(recipe, TeacherRecipe)
    return recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_ablation_is_planned_and_differs_in_one_thing(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"photo")
    assert plan(tmp_path / path.name).name == path.stem
    own, base = recipe_of(path).training, recipe_of(path.with_name("baseline.yaml")).training
    arms = {key for key, value in base.architecture if getattr(own.architecture, key) != value}
    arms |= {key for key, value in base if key != "architecture" and getattr(own, key) != value}
    expected = {"baseline": set(), "mapping-rgb": {"mapping", "weights"}}
    assert arms == expected.get(path.stem, arms) and len(arms) <= (path.stem != "baseline") + ("weights" in arms)
    if path.stem == "mapping-rgb":  # what is not predicted cannot be supervised, nothing else is missing
        assert set(base.weights) - set(own.weights) == {"flow"}


def test_ablations_are_complete(benchmark: ModuleType) -> None:
    assert benchmark.names()[0] == "baseline" and set(benchmark.names()) == {path.stem for path in RECIPES}
    trained = [recipe_of(path).training for path in RECIPES]
    assert {t.architecture.fusion for t in trained} == set(FUSIONS)
    assert {t.architecture.block for t in trained} == set(BLOCKS)
    assert {t.architecture.mapping for t in trained} == set(MAPPINGS)
    assert any(t.architecture.antialias for t in trained) and any(t.architecture.detail_gain for t in trained)
    assert {t.optimizer for t in trained} == {"adamw", "muon"}
    assert any(t.unpaired.moments for t in trained if t.unpaired)
    judges = {(bool(t.unpaired.adversarial), t.unpaired.discriminator) for t in trained if t.unpaired}
    assert judges == {(False, "pretrained"), (True, "pretrained"), (True, "plain")}


def test_arm_that_needs_photographs_is_left_out_without_them(benchmark: ModuleType, tmp_path: Path) -> None:
    mixed, paired = (ROOT / "recipes" / "ablations" / f"{name}.yaml" for name in ("mixed-plain", "baseline"))
    assert benchmark.planned(mixed, 0, None) is None
    (tmp_path / "one.jpg").write_bytes(b"photo")
    first, again, other = (benchmark.planned(mixed, seed, tmp_path) for seed in (0, 0, 1))
    alone = benchmark.planned(paired, 1, None)
    keys = [{step.name: step.key for step in made.steps} for made in (first, again, other, alone)]
    assert keys[0] == keys[1] and keys[0]["pairs"] == keys[2]["pairs"] == keys[3]["pairs"]
    assert keys[0]["photos"] == keys[2]["photos"] and len({k["teach"] for k in keys}) == 3
    assert {made.name for made in (first, other, alone)} == {"ablations"}
    with pytest.raises(InputError, match="compresses a teacher"):
        benchmark.planned(ROOT / "recipes" / "quickstart.yaml", 0, None)


def test_arm_may_see_other_images_than_its_recipe_says(benchmark: ModuleType) -> None:
    path = ROOT / "recipes" / "ablations" / "baseline.yaml"
    own, more = benchmark.planned(path, 0, None), benchmark.planned(path, 0, None, 20000)
    told = [step.settings for step in more.steps if isinstance(step.settings, TeachStep)]
    assert [phase.images for phase in told[0].phases] == [20000]
    keys = [{step.name: step.key for step in made.steps} for made in (own, more)]
    assert keys[0]["pairs"] == keys[1]["pairs"] and keys[0]["teach"] != keys[1]["teach"]


CURVE = [(100, 0.4), (200, 0.2), (300, 0.1)]


@pytest.mark.parametrize(("wanted", "images"), [(0.5, 100), (0.3, 150), (0.1, 300), (0.05, math.inf)])
def test_images_to_an_error_are_read_off_the_curve(benchmark: ModuleType, wanted: float, images: float) -> None:
    assert benchmark.images_to(CURVE, wanted) == pytest.approx(images)


def test_table_compares_each_seed_with_its_own_baseline(benchmark: ModuleType) -> None:
    def run(l1: float, scale: float = 1.0) -> dict[str, Any]:
        return {"l1": l1, "curve": [(images, error * scale) for images, error in CURVE], "of": ["key", 0]}

    results = {
        "slow": {"0": run(0.22, 1.5), "1": run(0.3, 1.5)},
        "baseline": {"0": run(0.1), "1": run(0.2)},
        "begun": {"0": run(0.05, 0.5)},
    }
    head, _, baseline, begun, slow = [[c.strip() for c in line.split("|")[1:-1]] for line in benchmark.table(results)]
    assert dict(zip(head, slow, strict=True)) == {
        "arm": "slow", "seeds": "2", "L1": "0.2600 ± 0.0400", "L1, % of baseline's": "185.0 ± 35.0",
        "images to baseline's L1": "-", "baseline's images to this L1": "250",
    }  # fmt: skip
    assert baseline[2:4] == ["0.1500 ± 0.0500", "100.0"]
    assert begun[1] == "1" and begun[4:] == ["200", "-"]


def test_detail_and_size_of_pictures(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    small = benchmark.resized(pictures, 32)
    assert small.shape == (2, 32, 32, 3) and np.abs(small.mean() - pictures.mean()) < 1
    assert benchmark.detail(small) < 0.7 * benchmark.detail(pictures)
    assert benchmark.detail(np.full((1, 8, 8, 3), 7, np.uint8)) == 0
