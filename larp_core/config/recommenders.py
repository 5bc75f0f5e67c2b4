"""The section of a recipe that is about the learned recommenders, see `larp_core.evaluation.recommenders`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from larp_core.config.section import (
    Count,
    CountOrZero,
    Section,
    Seed,
    Share,
    ShareBelowAll,
    Temperature,
    Weight,
    Width,
    Within,
)


@dataclass(frozen=True)
class WmfConfig(Section, section="recommenders.wmf"):
    """Weighted matrix factorisation, see `larp_core.evaluation.recommenders.wmf`. Appendix B names all but the solver's
    epochs and batch, the weight and the negatives.

    Attributes:
        solver: `als` is exact and needs no learning rate; `sgd` is the paper's.
        width: of the factors.
        epochs: sweeps of ALS, passes over the observed pairs of SGD.
        observed_weight: of a track that stands in the playlist, against one of any other.
        num_negatives: tracks that SGD draws for each observed pair.
    """

    solver: Literal["als", "sgd"] = "sgd"
    width: Width = 64
    epochs: CountOrZero = 30
    observed_weight: Annotated[float, Within(0, 1e6, above=True)] = 10.0
    l2: Weight = 0.1
    learning_rate: Weight = 0.005
    momentum: ShareBelowAll = 0.9
    batch_size: Count = 1_024
    num_negatives: Annotated[int, Within(0, 1_000_000)] = 4
    seed: Seed = 42


@dataclass(frozen=True)
class FittingConfig(Section, section="recommenders.fitting"):
    """The loop of the learned recommenders.

    Attributes:
        epochs: at most. patience: epochs without a better validation Recall@10 before it stops.
        batch_size: pairs of playlist and track in a step. num_negatives: random tracks that stand beside them.
        most_pairs: an epoch ends after so many pairs, where there are more.
    """

    epochs: Count = 50
    patience: CountOrZero = 5
    batch_size: Count = 1_024
    num_negatives: Annotated[int, Within(1, 1_000_000)] = 1_024
    most_pairs: Count = 1_000_000


@dataclass(frozen=True)
class DropoutNetConfig(Section, section="recommenders.dropoutnet"):
    """Appendix B.2. `hidden` is the MLPs' inner width, `width` that of what they give; `l2` is SGD's weight decay.

    Attributes:
        feature_dropout: share of rows whose collaborative part is hidden in a step.
    """

    width: Width = 256
    hidden: Width = 256
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: Weight = 0.005
    momentum: ShareBelowAll = 0.9
    l2: Weight = 0.1
    feature_dropout: Share = 0.2


@dataclass(frozen=True)
class ClcrecConfig(Section, section="recommenders.clcrec"):
    """Appendix B.3; `width` is WMF's, since the paper names none.

    Attributes:
        l2: of the mean squared length of the collaborative vectors in a step.
        replacement: how probable it is that a track's content stands for its collaborative vector.
        content_term: what the second contrast sets against a track's content: the content of another `track` of the
            playlist, the letter of equation 29, or its own collaborative `embedding`, as the original does.
    """

    width: Width = 64
    hidden: Width = 256
    learning_rate: Weight = 0.001
    l2: Weight = 0.1
    temperature: Temperature = 2.0
    replacement: Share = 0.5
    content_term: Literal["track", "embedding"] = "track"


@dataclass(frozen=True)
class RecommendersConfig(Section, section="recommenders"):
    """The learned recommenders, each fitted once an encoder; appendix B's values by default."""

    wmf: WmfConfig = field(default_factory=WmfConfig)
    fitting: FittingConfig = field(default_factory=FittingConfig)
    dropoutnet: DropoutNetConfig = field(default_factory=DropoutNetConfig)
    clcrec: ClcrecConfig = field(default_factory=ClcrecConfig)
