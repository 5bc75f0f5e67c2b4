"""Published checkpoints into our towers: HTS-AT's own, LAION-CLAP's and LARP's.

Nothing is loaded in part: every weight of the tower must be in the checkpoint with its shape, and every weight of the
checkpoint is used or left out for a reason in `conversion_keys`. The published `htsat.py` renames `sed_model.*` to
`audio_branch.*` and loads with `strict=False` into a module without an `audio_branch`: no weight matches, silently.

The author's HTS-AT was trained on 32 kHz audio with a hop of 320 samples, LAION-CLAP and LARP on 48 kHz with 480; all
with 64 mels of 50 to 14,000 Hz and windows of 1,024 samples. A frame is 10 ms in both, and the bands are the same in
Hz, but the window is 32 ms for the one and 21 ms for the other, so levels and the blur of low bands differ from what
the author's weights have seen. They are a starting point to train from, not an encoder to be used as it is; the
report says so where the checkpoint's mel filters tell it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from larp_core.model import conversion_keys as keys
from larp_core.runtime.errors import UserError

logger = logging.getLogger(__name__)

Weights = dict[str, Tensor]
KINDS = ("htsat", "laion_clap", "larp")
CHECKPOINT_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
RECOMPUTED = "relative_position_index"
OTHER_RATE = (
    "its mel filters are not those of 48 kHz audio (HTS-AT's author trained at 32 kHz): levels and low bands differ "
    "from what these weights have seen, so train on from them"
)


@dataclass(frozen=True)
class ConversionReport:
    """What became of every weight.

    Attributes:
        matched: our weights that were filled from the checkpoint.
        missing: our weights that were not; unexpected: the checkpoint's that are neither used nor known.
        misshapen: our weights whose shape is another one.
        left_out: the checkpoint's weights that are not wanted, with the reason.
        kept: our weights that such a checkpoint does not have, with what they hold instead.
        notes: what to be wary of.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return bool(self.matched) and not (self.missing or self.unexpected or self.misshapen)

    def next_step(self, folder: str) -> str:
        """How the folder is used."""
        if any(name.startswith("text_model.") for name in self.matched):
            return f"import larp_core.model, then AutoModel.from_pretrained('{folder}')"
        return f"name '{folder}' as model.audio.pretrained of a recipe"

    def lines(self) -> list[str]:
        """The report for a person; of long lists the first names."""
        reasons: dict[str, int] = {}
        for reason in self.left_out.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        lines = [f"{len(self.matched)} weights matched"]
        for title in ("missing", "unexpected", "misshapen"):
            names = getattr(self, title)
            lines.append(f"{len(names)} {title}" + (f": {', '.join(names[:5])}" if names else ""))
        lines += [f"{count} left out: {reason}" for reason, count in reasons.items()]
        lines += [f"kept {name}: {why}" for name, why in self.kept.items()]
        return lines + [f"note: {note}" for note in self.notes]


def read_checkpoint(path: Path) -> Weights:
    """The tensors of a `.safetensors` file or of a torch checkpoint (`state_dict` or `model` in it, or all of it).

    Only tensors and plain values are unpickled (`weights_only=True`); the prefix `module.` of a wrapped model goes.

    Raises:
        UserError: no such file, other objects within, or no tensors.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; give the path of a {', '.join(CHECKPOINT_SUFFIXES)} file")
    try:
        content = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # torch raises one of many kinds, by what is wrong with the file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            f"{path}: not readable as tensors alone ({reason}); where you trust the file, save its 'state_dict' or "
            "'model' by itself with torch.save and give that"
        ) from error
    for name in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    tensors = (
        {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, dict)
        else {}
    )
    if not tensors:
        raise UserError(f"{path}: holds no weights")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def kind_of(state: Weights) -> str | None:
    """`htsat`, `laion_clap` or `larp` by the names of the weights; None where it is none of them."""
    for prefix, kind in (("sed_model.", "htsat"), ("audio_branch.", "laion_clap"), ("audio_encoder.bn0.", "larp")):
        if any(name.startswith(prefix) for name in state):
            return kind
    return None


def htsat_part(state: Weights, kind: str) -> tuple[Weights, dict[str, str]]:
    """The HTS-AT of a checkpoint under its bare names, and why the rest is left out."""
    prefix = {"htsat": "sed_model.", "laion_clap": "audio_branch.", "larp": "audio_encoder."}[kind]
    others = {"htsat": {}, "laion_clap": keys.LAION_LEFT_OUT, "larp": {r"(?!audio_encoder\.).*": "not the audio tower"}}
    tower = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    rest = {n: r for n in state if not n.startswith(prefix) and (r := keys.left_out_reason(n, others[kind]))}
    tower |= {name: value for name, value in state.items() if not name.startswith(prefix) and name not in rest}
    return tower, rest


def convert_audio_tower(state: Weights, kind: str, target: nn.Module) -> ConversionReport:
    """Fills a `ClapAudioModel` from the HTS-AT of a checkpoint.

    Raises:
        UserError: anything missing, misshapen or unexpected; the tower is then as it was.
    """
    tower, rest = htsat_part(state, kind)
    new, unexpected, left_out = _renamed_htsat(tower)
    return _fill(target, new, unexpected, rest | left_out, notes=_notes(tower))


def convert_cnn14(state: Weights, target: nn.Module) -> ConversionReport:
    """Fills a `Cnn14` from the published checkpoint of PANNs, whose names it has.

    Raises:
        UserError: anything missing, misshapen or unexpected; the tower is then as it was.
    """
    left_out = {name: reason for name in state if (reason := keys.left_out_reason(name, keys.CNN14_LEFT_OUT))}
    new = {name: value for name, value in state.items() if name not in left_out}
    return _fill(target, new, [], left_out, notes=_notes(state))


def convert_larp(state: Weights, target: nn.Module) -> ConversionReport:
    """Fills a `LarpModel` from a published LARP checkpoint.

    Its BERT adds no token type to the embeddings, so ours become zero. A checkpoint of a stage without the fusion
    layer leaves ours as it was.

    Raises:
        UserError: anything missing, misshapen or unexpected; the model is then as it was.
    """
    own = {name: keys.left_out_reason(name, keys.LARP_LEFT_OUT) for name in state}
    left_out = {name: reason for name, reason in own.items() if reason}
    rest = {name: value for name, value in state.items() if name not in left_out}
    tower = {n.removeprefix("audio_encoder."): v for n, v in rest.items() if n.startswith("audio_encoder.")}
    audio, unexpected, dropped = _renamed_htsat(tower)
    new = {f"audio_model.{name}": value for name, value in audio.items()}
    for name, value in rest.items():
        if name.startswith("text_encoder."):
            new[name.replace("text_encoder.", "text_model.", 1)] = value
        elif name in keys.LARP_NAMES:
            new[keys.LARP_NAMES[name]] = value
        elif not name.startswith("audio_encoder."):
            unexpected.append(name)
    types = "text_model.embeddings.token_type_embeddings.weight"
    kept = {types: "zero, since the published BERT has no token types"}
    new[types] = torch.zeros_like(target.state_dict()[types])
    for name in keys.LARP_NAMES.values():
        if name.startswith("playlist_fusion.") and name not in new:
            kept[name] = "as it was, since the checkpoint's stage had no fusion layer"
    return _fill(target, new, unexpected, left_out | dropped, kept, _notes(tower))


def _renamed_htsat(tower: Weights) -> tuple[Weights, list[str], dict[str, str]]:
    """(weights under `ClapAudioModel`'s names, unexpected ones, those left out with the reason)."""
    new: Weights = {}
    unexpected: list[str] = []
    left_out: dict[str, str] = {}
    for name, value in tower.items():
        if reason := keys.left_out_reason(name, keys.HTSAT_LEFT_OUT):
            left_out[name] = reason
        elif not (names := keys.htsat_names(name)):
            unexpected.append(name)
        else:
            new |= dict(zip(names, value.chunk(len(names)) if len(names) > 1 else [value], strict=True))
    return new, unexpected, left_out


def _fill(
    target: nn.Module,
    new: Weights,
    unexpected: list[str],
    left_out: dict[str, str],
    kept: dict[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> ConversionReport:
    kept = kept or {}
    wanted = {name: value.shape for name, value in target.state_dict().items() if not name.endswith(RECOMPUTED)}
    found = [name for name in wanted if name in new]
    report = ConversionReport(
        matched=tuple(name for name in found if new[name].shape == wanted[name] and name not in kept),
        missing=tuple(name for name in wanted if name not in new and name not in kept),
        unexpected=(*unexpected, *(name for name in new if name not in wanted)),
        misshapen=tuple(f"{n} {list(new[n].shape)} for {list(wanted[n])}" for n in found if new[n].shape != wanted[n]),
        left_out=left_out,
        kept=kept,
        notes=notes,
    )
    for line in report.lines():
        logger.info(line)
    if not report.complete:
        raise UserError(f"the checkpoint does not match the tower: {'; '.join(report.lines()[:4])}; nothing was loaded")
    target.load_state_dict({name: new[name] for name in found}, strict=False)
    return report


def _notes(tower: Weights) -> tuple[str, ...]:
    """Whether the checkpoint's own mel filters, [n_fft / 2 + 1, mels], are the pipeline's."""
    filters = tower.get("logmel_extractor.melW")
    if filters is None:
        return ()
    from larp_core.audio.mels.log_mel import mel_filters

    ours = torch.from_numpy(mel_filters()).float()
    same = filters.shape == ours.shape and torch.allclose(filters.float(), ours, atol=1e-4)
    return () if same else (OTHER_RATE,)
