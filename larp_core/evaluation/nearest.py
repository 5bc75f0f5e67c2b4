"""The k nearest vectors to each of many, exactly, without holding all scores: found in float32, decided in float64.

Single precision is twice as fast, but rounds differently on every machine, so it only makes a short list: every
vector that could be among the k best, given the most that rounding can do to an inner product (Higham, Accuracy and
Stability of Numerical Algorithms, equation 3.5). Those few are scored again in double precision. Memory is that of one
block, so that a million candidates need no more than ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

QUERIES_AT_ONCE = 1_024
VECTORS_AT_ONCE = 32_768
GROUP = 16
"""The k-th largest of the maxima of groups is at most the k-th largest of all, and far cheaper to find."""
PAIRS_AT_ONCE = 256
DENSE_SHARE = 16
"""Where more than a sixteenth of a block is on the short list, the whole block is scored in double precision."""

SCORE_DECIMALS = 9
SINGLE_ROUNDING = 2.0**-24
MODERATE = 2.0**64
NOBODY = -1


@dataclass(frozen=True)
class Vectors:
    """What is searched: `table[rows[i]] * scale[i]` for i < N; the lower name wins among equal scores.

    Attributes:
        table: float [M, D], finite.
        rows: int64 [N], ascending, distinct.
        scale: float64 [N], one over each vector's length for cosines.
        names: int64 [N], distinct, not negative: what a vector is called in the answer.
        longest: the greatest length of a scaled vector.
    """

    table: np.ndarray
    rows: np.ndarray
    scale: np.ndarray
    names: np.ndarray
    longest: float

    def block(self, start: int, stop: int, dtype: type) -> np.ndarray:
        """Scaled vectors of one block: [stop - start, D]."""
        taken: np.ndarray = self.table.take(self.rows[start:stop], axis=0).astype(dtype, copy=False)
        taken *= self.scale[start:stop, None].astype(dtype)
        return taken

    def products(self, queries: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Approximate scores of float32 queries [P, D] and one block: float32 [P, at least stop - start].

        Columns beyond the block, up to a whole number of groups, are minus infinity. Whichever is smaller is scaled,
        the block, which needs a copy of it, or the products.
        """
        size = stop - start
        scores = np.empty((len(queries), size + -size % GROUP), np.float32)
        scores[:, size:] = -np.inf
        if len(queries) < self.table.shape[1] and self._lies_ready(start, stop):
            first = self.rows[start]
            np.matmul(queries, self.table[first : first + size].T, out=scores[:, :size])
            scores[:, :size] *= self.scale[start:stop].astype(np.float32)
        else:
            np.matmul(queries, self.block(start, stop, np.float32).T, out=scores[:, :size])
        return scores

    def _lies_ready(self, start: int, stop: int) -> bool:
        """Whether a block is one piece of a float32 table, and short and long vectors don't leave float32's range."""
        if self.table.dtype != np.float32 or self.rows[stop - 1] - self.rows[start] != stop - 1 - start:
            return False
        scale = self.scale[start:stop]
        return bool(scale.max() < MODERATE and scale.min(where=scale > 0, initial=1.0) > 1 / MODERATE)


def lengths(table: np.ndarray) -> np.ndarray:
    """Euclidean length of each row [M, D], in double precision: float64 [M]; infinite or NaN where an entry is."""
    squares = np.empty(len(table))
    for start in range(0, len(table), PAIRS_AT_ONCE):
        part = table[start : start + PAIRS_AT_ONCE].astype(np.float64)
        np.vecdot(part, part, out=squares[start : start + PAIRS_AT_ONCE])
    return np.sqrt(squares)


def nearest(
    queries: np.ndarray, vectors: Vectors, left_out: tuple[np.ndarray, np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each query the k vectors with the largest inner product, best first: names int64 [P, k] and scores.

    Scores are rounded to nine decimals; of equal ones the lower name is better. Where there are fewer than k the
    rest is -1, with a score of minus infinity.

    Args:
        queries: float64 [P, D].
        left_out: pairs of query (ascending) and vector (its i, not its name) that don't count.
    """
    best = np.full((len(queries), k), NOBODY, np.int64)
    scores = np.full((len(queries), k), -np.inf)
    ends = np.searchsorted(left_out[0], np.arange(0, len(queries) + QUERIES_AT_ONCE, QUERIES_AT_ONCE))
    for number, start in enumerate(range(0, len(queries), QUERIES_AT_ONCE)):
        own = slice(start, start + QUERIES_AT_ONCE)
        pairs = slice(ends[number], ends[number + 1])
        _search(queries[own], vectors, left_out[0][pairs] - start, left_out[1][pairs], best[own], scores[own])
    return best, scores


def _search(
    queries: np.ndarray, vectors: Vectors, rows: np.ndarray, columns: np.ndarray, best: np.ndarray, scores: np.ndarray
) -> None:
    """Fills `best` and `scores` [P, k] for the queries of one chunk, block after block of vectors."""
    single = queries.astype(np.float32)
    width = queries.shape[1]
    error = (width + 6) * SINGLE_ROUNDING * vectors.longest * np.linalg.norm(queries, axis=1)
    slack = 2.0 * error + 2.0 * 10.0**-SCORE_DECIMALS
    if len(vectors.rows) > VECTORS_AT_ONCE:
        order = np.argsort(columns, kind="stable")
        rows, columns = rows[order], columns[order]
    for start in range(0, len(vectors.rows), VECTORS_AT_ONCE):
        stop = min(start + VECTORS_AT_ONCE, len(vectors.rows))
        is_all = stop - start == len(vectors.rows)
        mine = slice(None) if is_all else slice(*np.searchsorted(columns, [start, stop]))
        approximate = vectors.products(single, start, stop)
        approximate[rows[mine], columns[mine] - start] = -np.inf
        found = _short_list(approximate, scores[:, -1], slack, best.shape[1])
        if len(found[0]) * DENSE_SHARE > approximate.size > GROUP * len(queries):
            exact = np.round(queries @ vectors.block(start, stop, np.float64).T, SCORE_DECIMALS)
            exact[rows[mine], columns[mine] - start] = -np.inf
            found = _top(exact, vectors.names[start:stop], best.shape[1])
            values = exact[found]
        else:
            values = _exact(queries, vectors, found[0], found[1] + start)
        _merge(best, scores, found[0], vectors.names[found[1] + start], values)


def _short_list(approximate: np.ndarray, worst: np.ndarray, slack: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, ascending, and columns of all that could be among the k best, whose k-th so far scores `worst`.

    A group is every (C / GROUP)-th column, so that the maxima are taken along contiguous memory.
    """
    num_groups = approximate.shape[1] // GROUP
    groups = approximate.reshape(len(approximate), GROUP, num_groups)
    maxima = groups.max(axis=1)
    reached = np.partition(maxima, num_groups - k, axis=1)[:, num_groups - k] if num_groups >= k else -np.inf
    # What is left out scores minus infinity and must stay below every threshold.
    threshold = np.maximum(np.maximum(reached, worst) - slack, np.finfo(np.float32).min).astype(np.float32)
    # One flat search and a division take a fraction of the time of `nonzero` in two dimensions.
    rows, which = np.divmod(np.flatnonzero(maxima >= threshold[:, None]), num_groups)
    pair, within = np.divmod(np.flatnonzero(groups[rows, :, which] >= threshold[rows, None]), GROUP)
    return rows[pair], within * num_groups + which[pair]


def _exact(queries: np.ndarray, vectors: Vectors, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Scores of pairs of query and vector: float64 [S], whatever pairs stand beside them."""
    values = np.empty(len(rows))
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        taken = vectors.table.take(vectors.rows[columns[part]], axis=0).astype(np.float64)
        np.vecdot(queries.take(rows[part], axis=0), taken, out=values[part])
    return np.round(values * vectors.scale[columns], SCORE_DECIMALS)


def _top(exact: np.ndarray, names: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, ascending, and columns of the k highest scores of each row, the lowest names among equals."""
    by_name = np.argsort(names)
    exact = exact[:, by_name]
    k = min(k, exact.shape[1])
    threshold = np.partition(exact, exact.shape[1] - k, axis=1)[:, exact.shape[1] - k, None]
    tied = exact == threshold
    wanted = k - (exact > threshold).sum(axis=1, keepdims=True)
    rows, columns = np.nonzero((exact > threshold) | (tied & (np.cumsum(tied, axis=1) <= wanted)))
    return rows, by_name[columns]


def _merge(best: np.ndarray, scores: np.ndarray, rows: np.ndarray, names: np.ndarray, values: np.ndarray) -> None:
    """Takes new pairs, by row (ascending) and name, into the k best so far."""
    if not len(rows):
        return
    k = best.shape[1]
    counts = np.bincount(rows, minlength=len(best))
    place = k + np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    all_names = np.full((len(best), k + counts.max()), NOBODY, np.int64)
    all_scores = np.full(all_names.shape, -np.inf)
    all_names[:, :k], all_scores[:, :k] = best, scores
    all_names[rows, place], all_scores[rows, place] = names, values
    all_names[np.isneginf(all_scores)] = NOBODY
    order = np.lexsort((all_names, -all_scores))[:, :k]
    best[:] = np.take_along_axis(all_names, order, axis=1)
    scores[:] = np.take_along_axis(all_scores, order, axis=1)
