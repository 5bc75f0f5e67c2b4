"""The short list in single precision loses nothing: equal to all scores in double precision, sorted, on every path."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.evaluation import nearest as module
from larp_core.evaluation.nearest import NOBODY, Vectors, lengths, nearest


@pytest.fixture(params=["small blocks", "small groups", "as they are"], autouse=True)
def sizes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks, chunks and groups so small that little data goes through all of them."""
    small = {
        "small blocks": {"QUERIES_AT_ONCE": 2, "VECTORS_AT_ONCE": 4, "GROUP": 2, "PAIRS_AT_ONCE": 3},
        "small groups": {"GROUP": 2, "VECTORS_AT_ONCE": 16, "DENSE_SHARE": 1},
        "as they are": {},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small[request.param].items():
            patch.setattr(module, name, value)
        yield


def cosines(table: np.ndarray, rows: np.ndarray) -> Vectors:
    """Vectors named by their place in `rows`."""
    names = np.argsort(rows)
    size = lengths(table)[rows[names]]
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    return Vectors(table, rows[names], scale, names, 1.0)


def slow_nearest(queries: np.ndarray, vectors: Vectors, left_out: list[tuple[int, int]], k: int) -> list[list[int]]:
    """One query and one vector at a time."""
    found = []
    for number, query in enumerate(queries):
        scores = {}
        for i, row in enumerate(vectors.rows):
            if (number, i) not in left_out:
                product = float(query @ vectors.table[row].astype(np.float64))
                scores[int(vectors.names[i])] = round(product * float(vectors.scale[i]), 9)
        best = sorted(scores, key=lambda i: (-scores[i], i))[:k]
        found.append(best + [NOBODY] * (k - len(best)))
    return found


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[int, int]], int]:
    """Vectors of small whole numbers, so that ties and zero vectors abound."""
    size, num_queries = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    numbers = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    table = np.array([draw(numbers) for _ in range(size)], np.float32)
    rows = np.array(draw(st.permutations(range(size)))[: draw(st.integers(1, size))])
    queries = np.array([draw(numbers) for _ in range(num_queries)], np.float64)
    pairs = st.tuples(st.integers(0, num_queries - 1), st.integers(0, len(rows) - 1))
    return table, rows, queries, sorted(draw(st.sets(pairs, max_size=20))), draw(st.integers(1, 12))


def columns_of(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


@given(searches())
def test_nearest_equals_the_slow_twin(search: tuple[np.ndarray, np.ndarray, np.ndarray, list, int]) -> None:
    table, rows, queries, pairs, k = search
    found, _ = nearest(queries, cosines(table, rows), columns_of(pairs), k)
    assert found.tolist() == slow_nearest(queries, cosines(table, rows), pairs, k)


@pytest.mark.parametrize("spread", [1.0, 1e-6, 0.0])
def test_differences_below_single_precision_still_decide(spread: float) -> None:
    """Vectors nearly or wholly alike: single precision cannot tell them apart, double precision must."""
    rng = np.random.default_rng(3)
    table = np.ones(40) + spread * rng.normal(size=(300, 40))
    queries = rng.normal(size=(7, 40)) + np.ones(40)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    pairs = [(query, i) for query in range(7) for i in range(query, 300, 50)]
    vectors = cosines(table, rng.permutation(300)[:250])
    pairs = [(query, i) for query, i in pairs if i < 250]
    found, scores = nearest(queries, vectors, columns_of(pairs), 9)
    assert found.tolist() == slow_nearest(queries, vectors, pairs, 9)
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
def test_a_whole_table_a_part_and_one_with_gaps_are_searched_alike(gap: int, size: float) -> None:
    """Fewer queries than dimensions: a table without gaps is multiplied as it lies, unless its lengths are extreme."""
    rng = np.random.default_rng(4)
    table = (size * rng.uniform(0.01, 100, (90, 1)) * rng.normal(size=(90, 12))).astype(np.float32)
    table[::9] = 0.0
    table[40:50] = table[20:30]
    queries = rng.normal(size=(5, 12)) / 12
    pairs = [(query, i) for query in range(5) for i in range(query, 40, 3)]
    for rows in (np.arange(90), np.arange(30, 80), np.delete(np.arange(90), [3, 50])[:: 1 + gap]):
        vectors = cosines(table, rng.permutation(rows))
        found, _ = nearest(queries, vectors, columns_of(pairs), 30)
        assert found.tolist() == slow_nearest(queries, vectors, pairs, 30)


def test_nothing_to_search_gives_nobody() -> None:
    nothing = np.empty(0, np.int64)
    empty = Vectors(np.empty((0, 3), np.float32), nothing, np.empty(0), nothing, 1.0)
    found, scores = nearest(np.ones((2, 3)), empty, columns_of([]), 4)
    assert (found == NOBODY).all() and np.isneginf(scores).all()
