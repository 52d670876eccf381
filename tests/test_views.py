"""Views of rendered pairs: close ones show the large picture's pixels, and every view shows what its window says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.teaching import views
from compress.teaching.views import draw_views, resample, window

POINTS = np.array([[[-0.9, 0.2], [0.1, 0.5]]], np.float32).repeat(400, 0)


def test_close_views_show_a_point_in_the_pixels_of_the_source() -> None:
    scale, _, shift = draw_views(400, np.random.default_rng(0), 2.0, POINTS)
    close = scale < views.ZOOM[0]
    assert close.float().mean() == pytest.approx(views.CLOSE_SHARE, abs=0.08)
    assert 0.5 <= scale[close].min() < scale[close].max() <= 0.5 * views.CLOSE + 1e-6
    seen = (torch.from_numpy(POINTS)[close] - shift[close][:, None]) / scale[close][:, None, None]
    assert (seen.abs().amax(2) <= 1).any(1).all()
    assert (shift[close].abs() + scale[close][:, None] <= 1 + 1e-6).all()


def test_large_pictures_have_no_close_views() -> None:
    scale, _, shift = draw_views(400, np.random.default_rng(0), 1.0, POINTS)
    assert scale.min() >= views.ZOOM[0] and shift.abs().max() <= views.SHIFT


@pytest.mark.parametrize("scale", [0.45, 0.6, 1.0])
def test_view_shows_what_its_window_says(scale: float) -> None:
    place = (torch.arange(64) + 0.5) / 32 - 1
    ramps = torch.stack(torch.meshgrid(place, place, indexing="xy"))[None]
    shift = torch.tensor([[0.2, -0.1]])
    seen = resample(ramps, window(torch.tensor([scale]), torch.tensor([-1.0]), shift), 32)[0]
    q = ((torch.arange(32) + 0.5) / 16 - 1)[4:-4]
    assert torch.allclose(seen[0, 8, 4:-4], (-scale * q + 0.2).clamp(-1, 1), atol=0.03)
    assert torch.allclose(seen[1, 4:-4, 8], (scale * q - 0.1).clamp(-1, 1), atol=0.03)


def test_close_views_are_as_sharp_as_the_source() -> None:
    stripes = (torch.arange(64) // 2 % 2).float().expand(1, 1, 64, 64)
    far, near = (window(torch.tensor([s]), torch.ones(1), torch.zeros(1, 2)) for s in (1.0, 0.5))
    assert resample(stripes, near, 32).std() > 0.4 and resample(stripes, far, 32).std() > 0.4
    fine = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    assert resample(fine, near, 32).std() > 0.4 and resample(fine, far, 32).std() < 0.01


def test_cubic_views_keep_more_of_the_detail() -> None:
    noise = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    beside = window(torch.tensor([0.9]), torch.ones(1), torch.full((1, 2), 0.01))
    linear, cubic = (resample(noise, beside, 64, mode).std() for mode in ("bilinear", "bicubic"))
    assert linear < 0.8 * noise.std() and cubic > 1.15 * linear
