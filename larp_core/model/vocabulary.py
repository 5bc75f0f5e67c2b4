"""The captions' tokenizer: a pretrained one, or a WordPiece vocabulary trained on the train split's captions alone."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import BertWordPieceTokenizer
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase

from larp_core.config import TextTowerConfig

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_tokenizer(text: TextTowerConfig, train_captions: Sequence[str]) -> PreTrainedTokenizerBase:
    """The recipe's pretrained tokenizer (hub name or folder), or one trained on `train_captions`."""
    if text.pretrained:
        return AutoTokenizer.from_pretrained(text.pretrained)
    return train_wordpiece(train_captions, text.vocab_size)


def train_wordpiece(captions: Sequence[str], vocab_size: int) -> BertTokenizer:
    """A lower-casing BERT tokenizer of about `vocab_size` WordPieces, the same for the same captions.

    The trainer numbers word-inner pieces (`##a`) in the order of a randomised hash map and breaks ties by number: two
    runs would differ. Naming those pieces beforehand fixes the order.
    """
    trainer = BertWordPieceTokenizer(lowercase=True)
    letters = sorted({letter for caption in captions for letter in trainer.normalizer.normalize_str(caption)} - {" "})
    trainer.train_from_iterator(
        captions,
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    return BertTokenizer(vocab=trainer.get_vocab(), do_lower_case=True)
