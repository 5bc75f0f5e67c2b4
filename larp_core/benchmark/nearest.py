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
NOBODY = -1


@dataclass(frozen=True)
class Vectors:
    """What is searched: `table[rows[i]] * scale[i]` for i < N; an earlier i wins among equal scores.

    Attributes:
        table: float [M, D], finite.
        rows: int64 [N].
        scale: float64 [N], one over each vector's length for cosines.
        longest: the greatest length of a scaled vector.
    """

    table: np.ndarray
    rows: np.ndarray
    scale: np.ndarray
    longest: float

    def block(self, start: int, stop: int, dtype: type, *, multiple: int = 1) -> np.ndarray:
        """Scaled vectors of one block, then zeros up to a multiple of so many rows: [at least stop - start, D]."""
        size = stop - start
        taken: np.ndarray = np.empty((size + -size % multiple, self.table.shape[1]), dtype)
        taken[size:] = 0.0
        if self.table.dtype == dtype:
            np.take(self.table, self.rows[start:stop], axis=0, out=taken[:size], mode="clip")
        else:
            taken[:size] = self.table[self.rows[start:stop]]
        taken[:size] *= self.scale[start:stop, None].astype(dtype)
        return taken


def lengths(table: np.ndarray) -> np.ndarray:
    """Euclidean length of each row [M, D], in double precision: float64 [M]; infinite or NaN where an entry is."""
    squares = np.empty(len(table))
    for start in range(0, len(table), PAIRS_AT_ONCE):
        part = table[start : start + PAIRS_AT_ONCE].astype(np.float64)
        np.einsum("ij,ij->i", part, part, out=squares[start : start + PAIRS_AT_ONCE])
    return np.sqrt(squares)


def nearest(
    queries: np.ndarray, vectors: Vectors, left_out: tuple[np.ndarray, np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each query the k vectors with the largest inner product, best first: indices int64 [P, k] and scores.

    Scores are rounded to nine decimals; of equal ones the earlier vector is better. Where there are fewer than k the
    rest is -1, with a score of minus infinity.

    Args:
        queries: float64 [P, D].
        left_out: pairs of query (ascending) and vector that don't count.
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
    order = np.argsort(columns, kind="stable")
    rows, columns = rows[order], columns[order]
    for start in range(0, len(vectors.rows), VECTORS_AT_ONCE):
        stop = min(start + VECTORS_AT_ONCE, len(vectors.rows))
        mine = slice(*np.searchsorted(columns, [start, stop]))
        # Columns beyond the block, up to a whole number of groups, are minus infinity like what is left out.
        approximate = single @ vectors.block(start, stop, np.float32, multiple=GROUP).T
        approximate[:, stop - start :] = -np.inf
        approximate[rows[mine], columns[mine] - start] = -np.inf
        found = _short_list(approximate, scores[:, -1], slack, best.shape[1])
        if len(found[0]) * DENSE_SHARE > approximate.size > GROUP * len(queries):
            exact = np.round(queries @ vectors.block(start, stop, np.float64).T, SCORE_DECIMALS)
            exact[rows[mine], columns[mine] - start] = -np.inf
            found = _top(exact, best.shape[1])
            values = exact[found]
        else:
            values = _exact(queries, vectors, found[0], found[1] + start)
        _merge(best, scores, found[0], found[1] + start, values)


def _short_list(approximate: np.ndarray, worst: np.ndarray, slack: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, both ascending, of all that could be among the k best, whose k-th so far scores `worst`.

    A group is every (C / GROUP)-th column, so that the maxima are taken along contiguous memory.
    """
    num_groups = approximate.shape[1] // GROUP
    groups = approximate.reshape(len(approximate), GROUP, num_groups)
    maxima = groups.max(axis=1)
    reached = np.partition(maxima, num_groups - k, axis=1)[:, num_groups - k] if num_groups >= k else -np.inf
    # What is left out scores minus infinity and must stay below every threshold.
    threshold = np.maximum(np.maximum(reached, worst) - slack, np.finfo(np.float32).min).astype(np.float32)
    rows, which = np.nonzero(maxima >= threshold[:, None])
    pair, within = np.nonzero(groups[rows, :, which] >= threshold[rows, None])
    keys = np.sort(rows[pair] * approximate.shape[1] + within * num_groups + which[pair])
    return np.divmod(keys, approximate.shape[1])


def _exact(queries: np.ndarray, vectors: Vectors, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Scores of pairs of query and vector: float64 [S], whatever pairs stand beside them."""
    values = np.empty(len(rows))
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        taken = vectors.table[vectors.rows[columns[part]]].astype(np.float64)
        np.einsum("ij,ij->i", queries[rows[part]], taken, out=values[part])
    return np.round(values * vectors.scale[columns], SCORE_DECIMALS)


def _top(exact: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (both ascending) of the k highest scores of each row, the first columns among equals."""
    k = min(k, exact.shape[1])
    threshold = np.partition(exact, exact.shape[1] - k, axis=1)[:, exact.shape[1] - k, None]
    tied = exact == threshold
    wanted = k - (exact > threshold).sum(axis=1, keepdims=True)
    rows, columns = np.nonzero((exact > threshold) | (tied & (np.cumsum(tied, axis=1) <= wanted)))
    return rows, columns


def _merge(best: np.ndarray, scores: np.ndarray, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
    """Takes new pairs, by row and column, into the k best so far, all of whose columns are earlier ones."""
    if not len(rows):
        return
    k = best.shape[1]
    counts = np.bincount(rows, minlength=len(best))
    place = k + np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    all_columns = np.full((len(best), k + counts.max()), NOBODY, np.int64)
    all_scores = np.full(all_columns.shape, -np.inf)
    all_columns[:, :k], all_scores[:, :k] = best, scores
    all_columns[rows, place], all_scores[rows, place] = columns, values
    all_columns[np.isneginf(all_scores)] = NOBODY
    order = np.argsort(-all_scores, axis=1, kind="stable")[:, :k]
    best[:] = np.take_along_axis(all_columns, order, axis=1)
    scores[:] = np.take_along_axis(all_scores, order, axis=1)
