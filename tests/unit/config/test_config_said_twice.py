"""Facts that the settings say for themselves, since they lie below the code that says them too."""

from __future__ import annotations

from larp_core.audio.mels import log_mel
from larp_core.captions import template
from larp_core.config import audio, caption_template, data, model, training
from larp_core.config.recipes import SMOKE
from larp_core.config.stages import STAGES
from larp_core.data.split.policies import POLICIES
from larp_core.losses import weighted
from larp_core.training.objective import TEMPERATURES


def test_what_is_said_twice_is_the_same() -> None:
    assert tuple(POLICIES) == data.SPLIT_POLICIES
    assert weighted.LOSSES == training.WEIGHED_LOSSES and TEMPERATURES == model.LEARNED_TEMPERATURES
    assert tuple(template.COLUMNS) == caption_template.FIELDS
    assert (log_mel.NUM_MELS, log_mel.NUM_FRAMES) == (model.NUM_MELS, training.NUM_FRAMES)
    assert log_mel.SAMPLE_RATE_HZ == audio.SAMPLE_RATE_HZ
    assert log_mel.NUM_SAMPLES == audio.CLIP_SECONDS * audio.SAMPLE_RATE_HZ
    assert {name for name, _ in SMOKE.training.epochs} == set(STAGES)
