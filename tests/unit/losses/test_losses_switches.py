"""The switches beyond the paper: the text-aware queue, learned temperature, weights of losses. Directions and twins.

False negatives through O and pruned pairs have their twins in `test_losses_twins.py`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_batches import make_batch, mean_of, naive_cross_entropy
from torch.nn import functional as F

from larp_core.losses.contrast import Keys, contrast
from larp_core.losses.hard_negatives import TextHardness, weigh_by_text
from larp_core.losses.tpc import track_playlist_contrast
from larp_core.losses.ttc import track_track_contrast
from larp_core.losses.weighted import checked_weights, weighted_mean
from larp_core.losses.wtc import within_track_contrast
from larp_core.runtime.errors import UserError

HARD = TextHardness(hardness=3.0, twins=0.6)


def naive_weights(similarities: list[float], text: TextHardness) -> list[float]:
    """exp(hardness * s), scaled to a mean of one."""
    raw = [float(np.exp(text.hardness * s)) for s in similarities]
    return [value * len(raw) / sum(raw) for value in raw]


@pytest.mark.parametrize("text", [TextHardness(hardness=3.0), TextHardness(twins=0.3), HARD])
def test_wtc_with_a_text_aware_queue_equals_the_naive_loop(text: TextHardness) -> None:
    batch, _ = make_batch(seed=21, text=text, queued=9)
    tracks, q = batch.tracks.tolist(), batch.queue
    filled = [n for n in range(len(q.tracks)) if q.tracks[n] >= 0]
    left_out, directions = 0, []
    for queries, keys, queue in (
        (batch.online.audio, batch.online.text, q.text),
        (batch.online.text, batch.online.audio, q.audio),
    ):
        losses = []
        for n in range(len(tracks)):
            alike = {
                m: float(batch.momentum.text[n].detach() @ q.text[m]) for m in filled if int(q.tracks[m]) != tracks[n]
            }
            kept = [m for m, s in alike.items() if text.twins is None or s < text.twins]
            left_out += len(alike) - len(kept)
            columns = [(keys[m].detach().numpy(), n == m) for m in range(len(tracks))]
            columns += [(queue[m].numpy(), False) for m in kept]
            weights = naive_weights([alike[m] for m in kept], text)
            losses.append(naive_cross_entropy(queries[n].detach().numpy(), columns, weights))
        directions.append(mean_of(losses))
    assert (left_out > 0) == (text.twins is not None)
    assert within_track_contrast(batch).item() == pytest.approx(sum(directions) / 2, abs=1e-5)


def test_a_negative_of_an_alike_caption_is_pushed_further() -> None:
    query = F.normalize(torch.tensor([[1.0, 0.5]], dtype=torch.float64), dim=1).requires_grad_()
    vectors = F.normalize(torch.tensor([[1.0, 0.4], [0.6, 1.0], [0.6, 1.0]], dtype=torch.float64), dim=1)
    vectors.requires_grad_()
    keys = Keys(vectors, torch.tensor([[True, False, False]]), torch.ones(1, 3, dtype=torch.bool))
    similarity, known = torch.tensor([[0.8, -0.2]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.bool)
    contrast(query, weigh_by_text(keys, similarity, known, TextHardness(hardness=2.0)), 0.2).backward()
    pushes = vectors.grad.norm(dim=1)
    assert pushes[1] / pushes[2] == pytest.approx(np.exp(2.0), rel=1e-6)


@given(st.integers(0, 1000), st.floats(0.0, 8.0), st.floats(-0.5, 1.0))
@settings(max_examples=50, deadline=None)
def test_weights_are_one_on_average_and_none_for_what_has_no_caption(seed: int, hardness: float, twins: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = F.normalize(torch.from_numpy(rng.normal(size=(9, 4))), dim=1)
    part = torch.from_numpy(rng.random((3, 9)) < 0.7)
    keys = Keys(vectors, torch.zeros(3, 9, dtype=torch.bool), part)
    similarity = torch.from_numpy(rng.uniform(-1, 1, (3, 5)))
    known = torch.from_numpy(rng.random((3, 5)) < 0.6)
    weighed = weigh_by_text(keys, similarity, known, TextHardness(hardness, twins))
    assert weighed.log_weights is not None and torch.isfinite(weighed.log_weights).all()
    assert not weighed.log_weights[:, :4].any() and torch.equal(weighed.takes_part[:, :4], part[:, :4])
    assert torch.equal(weighed.takes_part[:, 4:], part[:, 4:] & ~(known & (similarity >= twins)))
    assert torch.equal(keys.takes_part, part)  # the given ones stay as they are
    for row in range(3):
        counted = weighed.takes_part[row, 4:] & known[row]
        assert not weighed.log_weights[row, 4:][~counted].any()
        if counted.any():
            assert weighed.log_weights[row, 4:][counted].exp().mean().item() == pytest.approx(1.0)


@pytest.mark.parametrize("options", [dict(mask_false_negatives=True), dict(text=HARD)])
def test_known_positives_and_twins_are_not_pushed_away(options: dict) -> None:
    """Moving a queued track that is left out changes no loss; without the switch it does."""
    losses = {}
    for name, switched in (("off", {}), ("on", options)):
        values = []
        for moved in (False, True):
            batch, _ = make_batch(seed=31, **switched)
            if "text" in options:  # the queued track's caption is everyone's
                batch.queue.text[0] = batch.momentum.text[0].detach()
                everyone = batch.queue.text[0].expand_as(batch.momentum.text)
                slow = dataclasses.replace(batch.momentum, text=everyone)
                batch = dataclasses.replace(batch, momentum=slow)
            else:  # the queued track shares a playlist with everyone
                popular = torch.zeros(1, dtype=torch.long)
                batch.queue.tracks[0] = popular
                related = batch.co_occurs
                batch = dataclasses.replace(
                    batch, co_occurs=lambda left, right, related=related: related(left, right) | (right == 0)[None, :]
                )
            if moved:
                batch.queue.audio[0] = -batch.queue.audio[0]
            values.append((within_track_contrast(batch).item(), track_track_contrast(batch).item()))
        losses[name] = values
    assert losses["on"][0] == pytest.approx(losses["on"][1])
    assert all(a != pytest.approx(b) for a, b in zip(*losses["off"], strict=True))


def test_tpc_takes_every_switch_and_learns_from_online_features_alone() -> None:
    batch, _ = make_batch(seed=41, mask_false_negatives=True, text=HARD, missing=0.3)
    playlist = dataclasses.replace(batch.online.part(batch.anchors))
    loss = track_playlist_contrast(batch, playlist)
    loss.backward()
    assert torch.isfinite(loss) and batch.online.audio.grad is not None
    assert batch.momentum.text.grad is None


def test_a_pruned_pair_is_neither_positive_nor_negative() -> None:
    batch, _ = make_batch(seed=8, prunes=True)
    everything = dataclasses.replace(batch, keeps=lambda left, right: torch.ones(len(left), len(right)).bool())
    unpruned = dataclasses.replace(batch, keeps=None)
    assert track_track_contrast(everything).item() == track_track_contrast(unpruned).item()
    nothing = dataclasses.replace(batch, keeps=lambda left, right: torch.zeros(len(left), len(right)).bool())
    cost = track_track_contrast(nothing)
    cost.backward()
    assert cost.item() == 0.0 and not batch.online.audio.grad.any()


def test_a_warm_temperature_is_cooled_where_all_is_told_apart() -> None:
    """The gradient of the temperature, against the difference quotient."""
    batch, _ = make_batch(seed=11)
    apart = torch.eye(10, 6, dtype=torch.float64)
    agreeing = dataclasses.replace(batch.online, audio=apart, text=apart)
    step = dataclasses.replace(batch, online=agreeing, keys=agreeing)

    def loss(temperature: torch.Tensor) -> torch.Tensor:
        return within_track_contrast(dataclasses.replace(step, temperature=temperature))

    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    loss(temperature).backward()
    with torch.no_grad():
        slope = (loss(temperature + 1e-5) - loss(temperature - 1e-5)) / 2e-5
    assert temperature.grad is not None
    assert temperature.grad.item() == pytest.approx(slope.item(), rel=1e-5)


def test_weights_of_losses_make_a_weighted_mean() -> None:
    losses = {name: torch.tensor(value, requires_grad=True) for name, value in (("wtc", 1.0), ("ttc", 4.0))}
    assert weighted_mean(losses, {}).item() == 2.5
    assert weighted_mean(losses, {"ttc": 3.0, "tpc": 9.0}).item() == pytest.approx((1 + 3 * 4) / 4)
    weighted_mean(losses, {"wtc": 0.0}).backward()
    assert losses["wtc"].grad == 0.0 and losses["ttc"].grad == 1.0


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ((("wtf", 1.0),), "there is no loss 'wtf'; choose from wtc, ttc, tpc, clap"),
        ((("wtc", -1.0),), "the weight of wtc is -1.0"),
        ((("wtc", 0.0), ("ttc", 0.0)), "leaves nothing of wtc, ttc"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: tuple[tuple[str, float], ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        checked_weights(weights, ("wtc", "ttc"))
