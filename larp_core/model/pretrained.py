"""Building a model: from a recipe, with the towers' pretrained weights where the recipe names some, or from a folder.

`model.text.pretrained` is a hub name or folder of BERT. `model.audio.pretrained` is one of CLAP or of its audio tower,
or a checkpoint file of HTS-AT, LAION-CLAP or LARP (`larp_core.model.convert`). Loading is loud: a tower whose weights
do not all match is refused.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import ASTModel, BertModel, ClapAudioModel, ClapModel

from larp_core.config import ModelConfig
from larp_core.model.audio_towers import AstTower
from larp_core.model.cnn14 import Cnn14
from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.convert import (
    CHECKPOINT_SUFFIXES,
    convert_audio_tower,
    convert_cnn14,
    kind_of,
    read_checkpoint,
)
from larp_core.model.modeling_larp import LarpModel
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import read_json

logger = logging.getLogger(__name__)

POSITIONS = "embeddings.position_embeddings"


def build_model(config: ModelConfig, vocab_size: int, seed: int) -> LarpModel:
    """A new model: towers pretrained where the recipe says so, everything else drawn from `seed`.

    Raises:
        UserError: weights that cannot be found, or that do not match the recipe's towers.
    """
    torch.manual_seed(seed)
    model = LarpModel(LarpConfig.from_recipe(config, vocab_size))
    if config.audio.pretrained:
        _fill_audio_tower(model.audio_model, config.audio.pretrained)
    if config.text.pretrained:
        bert = _load(BertModel, config.text.pretrained, "model.text.pretrained", add_pooling_layer=False)
        _copy_all(bert, model.text_model, config.text.pretrained)
    return model


def _fill_audio_tower(tower: Any, name: str) -> None:
    field, path = "model.audio.pretrained", Path(name)
    if isinstance(tower, AstTower):
        _fill_ast(tower, _load(ASTModel, name, field), name)
    elif isinstance(tower, Cnn14):
        if path.suffix in CHECKPOINT_SUFFIXES:
            convert_cnn14(read_checkpoint(path), tower)
        else:
            _copy_all(_load(Cnn14, name, field), tower, name)
    elif path.suffix in CHECKPOINT_SUFFIXES:
        state = read_checkpoint(path)
        kind = kind_of(state)
        if kind is None:
            raise UserError(f"{field}: '{name}' is no checkpoint of HTS-AT, LAION-CLAP or LARP by its weights' names")
        convert_audio_tower(state, kind, tower)
    elif (path / "config.json").exists() and read_json(path / "config.json")["model_type"] == tower.config.model_type:
        _copy_all(_load(ClapAudioModel, name, field), tower, name)
    else:
        _copy_all(_load(ClapModel, name, field).audio_model, tower, name)


def _fill_ast(tower: AstTower, published: ASTModel, name: str) -> None:
    """All of an AST's weights; its position embeddings are stretched to our grid of patches, and the report says so."""
    state, ours = published.state_dict(), tower.ast.state_dict()[POSITIONS]
    if state[POSITIONS].shape != ours.shape:
        logger.warning(
            "%s: position embeddings of %s patches are stretched to %s, since it heard %d mels and these are %d: train "
            "on from them",
            name,
            published.embeddings.get_shape(published.config),
            tower.ast.embeddings.get_shape(tower.ast.config),
            published.config.num_mel_bins,
            tower.ast.config.num_mel_bins,
        )
        state[POSITIONS] = _stretched(state[POSITIONS], published, tower.ast)
    try:
        tower.ast.load_state_dict(state, strict=True)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise UserError(f"the weights of '{name}' do not match the recipe's tower: {detail}") from None


def _stretched(positions: torch.Tensor, published: ASTModel, ours: ASTModel) -> torch.Tensor:
    """[1, 2 + F x T, D] from one grid of frequency and time to another; the two tokens before it stay."""
    tokens, grid = positions[:, :2], positions[:, 2:]
    shape = published.embeddings.get_shape(published.config)
    grid = grid.transpose(1, 2).reshape(1, -1, *shape)
    grid = functional.interpolate(grid, size=ours.embeddings.get_shape(ours.config), mode="bilinear")
    return torch.cat([tokens, grid.flatten(2).transpose(1, 2)], dim=1)


def _load(model_class: Any, name: str, field: str, **options: Any) -> Any:
    try:
        model, info = model_class.from_pretrained(name, output_loading_info=True, **options)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{field}: cannot load '{name}': {reason}; give a folder with the weights, or a hub name"
        ) from None
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise UserError(
            f"{field}: '{name}' lacks {len(missing)} weights of {model_class.__name__}, such as {missing[0]}"
        )
    return model


def _copy_all(source: torch.nn.Module, target: torch.nn.Module, name: str) -> None:
    try:
        target.load_state_dict(source.state_dict(), strict=True)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise UserError(f"the weights of '{name}' do not match the recipe's tower: {detail}") from None
