"""The processor and the model as people use them: Auto classes, any rate, clips and captions that may be missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor, ClapFeatureExtractor

from larp_core.audio.mels.log_mel import log_mel
from larp_core.config.recipes import SMOKE
from larp_core.model import LarpConfig, LarpFeatureExtractor, LarpModel, LarpOutput, LarpProcessor
from larp_core.model.pretrained import build_model
from larp_core.model.vocabulary import train_wordpiece
from larp_core.runtime.errors import UserError

CAPTIONS = ["the track river by stone", "the track blue night by a dance of very many words indeed", "the track radio"]
RATE_HZ = 48_000


def tone(rate_hz: int, seconds: float = 10.0, pitch_hz: float = 3_000.0) -> np.ndarray:
    times = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * pitch_hz * times) * (1 + 0.5 * np.sin(2 * np.pi * 0.7 * times))).astype(np.float32)


@pytest.fixture(scope="module")
def processor() -> LarpProcessor:
    return LarpProcessor.around(train_wordpiece(CAPTIONS * 2, 100), max_tokens=8)


@pytest.fixture(scope="module")
def model(processor: LarpProcessor) -> LarpModel:
    return build_model(SMOKE.model, len(processor.tokenizer), seed=1).eval()


def test_mels_are_the_pipelines_and_claps(processor: LarpProcessor) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 480_000).astype(np.float32)
    ours = processor(audio=noise, sampling_rate=RATE_HZ)["input_features"]
    assert ours.shape == (1, 1, 1001, 64) and ours.dtype == torch.float32
    np.testing.assert_array_equal(ours[:, 0], log_mel(noise[None]))
    clap = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    theirs = clap(noise, sampling_rate=RATE_HZ, return_tensors="pt")["input_features"]
    torch.testing.assert_close(ours, theirs.float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 96_000])
def test_any_rate_gives_the_same_spectrogram(processor: LarpProcessor, rate_hz: int) -> None:
    """Of a tone below every rate's limit, in the bands around it and away from the clip's ends."""
    reference, resampled = (
        processor(audio=tone(rate), sampling_rate=rate)["input_features"][0, 0] for rate in (RATE_HZ, rate_hz)
    )
    loud = reference[10:-10] > reference.max() - 60
    assert (reference - resampled)[10:-10][loud].abs().max() < 0.1


def test_resampling_is_band_limited(processor: LarpProcessor) -> None:
    """A 30 kHz tone at 96 kHz would fold down to 18 kHz; what is below 14 kHz stays silent."""
    folded = processor(audio=tone(96_000, pitch_hz=40_000.0), sampling_rate=96_000)["input_features"]
    heard = processor(audio=tone(96_000, pitch_hz=8_000.0), sampling_rate=96_000)["input_features"]
    assert heard.max() - folded[:, :, 10:-10].max() > 70


@pytest.mark.parametrize("seconds", [9.9, 10.1])
def test_other_lengths_are_refused_unless_told_what_to_do(processor: LarpProcessor, seconds: float) -> None:
    with pytest.raises(UserError, match=rf"audio 1 lasts {seconds:.3f} s"):
        processor(audio=[tone(RATE_HZ), tone(RATE_HZ, seconds)], sampling_rate=RATE_HZ)
    wrong = {"pad": "zeros"} if seconds > 10 else {"crop": "start"}
    with pytest.raises(UserError, match="lasts"):
        processor(audio=tone(RATE_HZ, seconds), sampling_rate=RATE_HZ, **wrong)


def test_crops_and_pads_are_what_they_say(processor: LarpProcessor) -> None:
    wave = np.random.default_rng(1).normal(size=600_000).astype(np.float32)

    def mel(samples: np.ndarray, **policy: str) -> torch.Tensor:
        return processor(audio=samples, sampling_rate=RATE_HZ, **policy)["input_features"]

    assert torch.equal(mel(wave, crop="start"), mel(wave[:480_000]))
    assert torch.equal(mel(wave, crop="center"), mel(wave[60_000:540_000]))
    short = wave[:200_000]
    assert torch.equal(mel(short, pad="zeros"), mel(np.r_[short, np.zeros(280_000, np.float32)]))
    assert torch.equal(mel(short, pad="repeat"), mel(np.r_[short, short, short[:80_000]]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (dict(audio=np.zeros(480_000)), "sampling_rate"),
        (dict(audio=[np.zeros((2, 480_000))], sampling_rate=48_000), "mono"),
        (dict(audio=[np.zeros(0)], sampling_rate=48_000), "mono"),
        (dict(audio=np.zeros(480_000), sampling_rate=48_000, crop="random"), "crop is one of"),
        (dict(), "needs audio, text, or both"),
    ],
)
def test_what_cannot_be_right_is_refused(processor: LarpProcessor, arguments: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        processor(**arguments)


def test_captions_are_padded_to_the_longest_and_cut(processor: LarpProcessor) -> None:
    inputs = processor(text=CAPTIONS)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (3, 8)
    assert set(inputs) == {"input_ids", "attention_mask"}
    assert processor(text="river")["input_ids"].shape[1] < 8


def test_a_saved_folder_loads_with_the_auto_classes(model: LarpModel, processor: LarpProcessor, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, tools = AutoModel.from_pretrained(tmp_path).eval(), AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is LarpModel and type(tools) is LarpProcessor
    assert type(AutoConfig.from_pretrained(tmp_path)) is LarpConfig
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is LarpFeatureExtractor
    with torch.no_grad():
        outputs = [
            network(**prepare(audio=[tone(44_100)] * 3, sampling_rate=44_100, text=CAPTIONS))
            for network, prepare in ((model, processor), (again, tools))
        ]
    assert torch.equal(outputs[0].track_embeds, outputs[1].track_embeds)


def test_everything_can_be_pushed_to_the_hub() -> None:
    for kind in (LarpModel, LarpConfig, LarpProcessor, LarpFeatureExtractor):
        assert callable(kind.push_to_hub)


def test_forward_gives_both_sides_and_their_mean(model: LarpModel, processor: LarpProcessor) -> None:
    inputs = processor(audio=[tone(RATE_HZ), tone(RATE_HZ, pitch_hz=500)], sampling_rate=RATE_HZ, text=CAPTIONS[:2])
    with torch.no_grad():
        out = model(**inputs)
        assert isinstance(out, LarpOutput)
        assert torch.equal(out.audio_embeds, model.get_audio_features(inputs["input_features"]))
        assert torch.equal(out.text_embeds, model.get_text_features(inputs["input_ids"], inputs["attention_mask"]))
        assert torch.allclose(out.track_embeds, (out.audio_embeds + out.text_embeds) / 2)
        assert [torch.equal(a, b) for a, b in zip(model(**inputs, return_dict=False), out.to_tuple(), strict=True)]
        alone = model(input_ids=inputs["input_ids"])
    assert alone.audio_embeds is None and torch.equal(alone.track_embeds, alone.text_embeds)
    with pytest.raises(UserError, match="2 clips but 1 captions"):
        model(inputs["input_features"], inputs["input_ids"][:1])
    with pytest.raises(UserError, match="needs input_features, input_ids, or both"):
        model()


def test_the_inputs_can_be_trained_on(model: LarpModel, processor: LarpProcessor) -> None:
    mel = processor(audio=tone(RATE_HZ), sampling_rate=RATE_HZ)["input_features"]
    (model.get_audio_features(mel) * torch.arange(256)).sum().backward()
    assert model.audio_projection.weight.grad is not None
    model.zero_grad(set_to_none=True)


def test_encoded_tracks_are_means_of_what_each_one_has(model: LarpModel, processor: LarpProcessor) -> None:
    waves, captions = [tone(RATE_HZ), None, tone(RATE_HZ, pitch_hz=300)], [CAPTIONS[0], CAPTIONS[1], None]
    model.train()
    vectors = model.encode_tracks(processor, waves, captions, batch_size=2, sampling_rate=RATE_HZ)
    assert model.training
    model.eval()
    with torch.no_grad():
        a = [model(**processor(audio=wave, sampling_rate=RATE_HZ)).audio_embeds[0] for wave in (waves[0], waves[2])]
        t = [model(**processor(text=caption)).text_embeds[0] for caption in captions[:2]]
    expected = torch.stack([(a[0] + t[0]) / 2, t[1], a[1]])
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)
    assert model.encode_tracks(processor, [], []).shape == (0, 256)
    with pytest.raises(UserError, match="track 1 has neither"):
        model.encode_tracks(processor, [waves[0], None], ["a", ""], sampling_rate=RATE_HZ)
    with pytest.raises(UserError, match="1 clips but 2 captions"):
        model.encode_tracks(processor, [None], ["a", "b"])
