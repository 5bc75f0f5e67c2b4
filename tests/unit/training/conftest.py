from __future__ import annotations

import pytest
from training_world import make_graph

from larp_core.data.train_graph import TrainGraph


@pytest.fixture(scope="session")
def train_graph() -> TrainGraph:
    return make_graph()
