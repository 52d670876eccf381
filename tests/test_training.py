"""What trainings share: learning rate, averaged weights, checkpoints, the stop at NaN."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.errors import NonFiniteError, StorageError
from compress.training import loop as training
from compress.training.loop import Checkpoints, Ema


def make_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    # Moments restored in another layout than their weights would be wrong without an error.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's stubs


def make_checkpoints(folder: Path, seed: int = 0) -> tuple[nn.Module, Ema, Checkpoints, torch.optim.Optimizer]:
    model = make_model(seed)
    optimizer, ema = training.adam(list(model.parameters()), 0.01), Ema(model, 0.9)
    return model, ema, Checkpoints(folder, model, optimizer, ema), optimizer


def steps(model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(step))
        loss: Tensor = model(x).square().mean() + model(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update(step)


def test_cosine_rises_then_falls_to_nothing() -> None:
    assert training.cosine(0, 10_000, 1.0) == pytest.approx(0.01)
    assert training.cosine(99, 10_000, 1.0) == pytest.approx(1.0, abs=1e-3)
    assert training.cosine(5_000, 10_000, 2.0) == pytest.approx(1.0)
    assert training.cosine(10_000, 10_000, 1.0) == pytest.approx(0.0)


def test_steps_of_covers_the_budget() -> None:
    assert [training.steps_of(images, 16) for images in (1, 16, 17)] == [1, 1, 2]


def test_require_finite_names_the_step() -> None:
    assert training.require_finite(torch.tensor(2.0), 7, "distillation") == 2.0
    with pytest.raises(NonFiniteError, match=r"distillation: the loss became nan at step 7; lower its learning_rate"):
        training.require_finite(torch.tensor(float("nan")), 7, "distillation")


def test_ema_first_steps_weigh_more_then_the_decay_holds() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema = Ema(model, 0.5)
    nn.init.ones_(model.weight)
    ema.update(0)
    assert ema.state["weight"].item() == pytest.approx(0.9)
    ema.update(1000)
    assert ema.state["weight"].item() == pytest.approx(0.95)


def test_ema_copy_takes_counters_from_the_trained_model() -> None:
    model = make_model().train()
    ema, other = Ema(model, 0.9), make_model(1)
    model(torch.randn(2, 3, 5, 5))
    ema.update(0)
    ema.copy_to(other)
    assert other.state_dict()["1.num_batches_tracked"] == 1
    assert torch.equal(other.state_dict()["0.weight"], ema.state["0.weight"])


def test_ema_decay_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"decay 1\.0 is not within"):
        Ema(make_model(), 1.0)


def test_checkpoint_resumes_to_the_same_weights_as_without_interruption(tmp_path: Path) -> None:
    model, ema, _, optimizer = make_checkpoints(tmp_path)
    steps(model, ema, optimizer, 0, 6)
    first, first_ema, checkpoints, first_optimizer = make_checkpoints(tmp_path)
    steps(first, first_ema, first_optimizer, 0, 3)
    checkpoints.save(3)
    second, second_ema, checkpoints, second_optimizer = make_checkpoints(tmp_path, seed=5)
    assert checkpoints.resume() == 3
    steps(second, second_ema, second_optimizer, 3, 6)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), second.state_dict().values()))
    assert all(torch.equal(ema.state[name], second_ema.state[name]) for name in ema.state)


def test_checkpoint_of_broken_weights_keeps_the_good_one(tmp_path: Path) -> None:
    model, _, checkpoints, _ = make_checkpoints(tmp_path)
    checkpoints.save(3)
    with torch.no_grad():
        model.get_parameter("0.weight").fill_(float("inf"))
    with pytest.raises(NonFiniteError, match=r"model.0.weight is not finite after step 4"):
        checkpoints.save(4)
    assert make_checkpoints(tmp_path)[2].resume() == 3


def test_checkpoint_that_is_damaged_is_named(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path)[2]
    assert checkpoints.resume() == 0
    checkpoints.path.write_bytes(b"not a checkpoint")
    with pytest.raises(StorageError, match=r"checkpoint.safetensors: does not fit this training .*; delete it"):
        checkpoints.resume()


def test_checkpoint_of_another_model_is_named(tmp_path: Path) -> None:
    make_checkpoints(tmp_path)[2].save(1)
    other = nn.Linear(2, 2)
    with pytest.raises(StorageError, match="does not fit this training"):
        Checkpoints(tmp_path, other, training.adam(list(other.parameters()), 0.1), None).resume()


def test_checkpoint_on_a_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path / "gone")[2]
    with pytest.raises(StorageError, match=r"checkpoint"):
        checkpoints.save(1)


def test_checkpoint_is_saved_when_it_is_due_and_removed_at_the_end(tmp_path: Path) -> None:
    model = make_model()
    optimizer = training.adam(list(model.parameters()), 0.1)
    Checkpoints(tmp_path, model, optimizer, None, seconds=1000).maybe_save(1)
    assert not list(tmp_path.iterdir())
    due = Checkpoints(tmp_path, model, optimizer, None, seconds=0)
    due.maybe_save(1)
    assert due.path.exists()
    due.remove()
    assert not list(tmp_path.iterdir())


def test_precision_falls_back_where_the_processor_would_emulate_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert training.supported_precision("bfloat16", "cpu") == "float32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert training.supported_precision("bfloat16", "cpu") == "bfloat16"
    assert training.supported_precision("float32", "cpu") == "float32"
    assert training.supported_precision("bfloat16", "cuda") == "bfloat16"
