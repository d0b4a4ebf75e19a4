"""Average precision of many ranked lists at once, under the interpolated curve of VOC 2011 or the raw one.

Letters: H hits over all lists.
"""

from __future__ import annotations

import numpy as np

from talaria.evaluation.arrays import FloatArray, IntArray


def average_precisions(
    list_of_H: IntArray, rank_H: IntArray, num_positives: IntArray, *, interpolated: bool = True
) -> FloatArray:
    """Average precision of every list from the ranks of its hits; misses need not be named.

    The curve only falls between hits, so its upper envelope is known at the hits: there the precision is
    (hits so far) / (rank + 1), and every hit raises the recall by 1 / positives.

    Args:
        list_of_H: list number of each hit, ascending.
        rank_H: rank of each hit in its list, from 0, ascending within a list.
        num_positives: (lists,) what could be hit in each list.
        interpolated: whether a hit counts the best precision from its recall on, or its own.

    Returns:
        (lists,) in [0, 1]; 0 for a list without hits, NaN for one without positives.

    Source: `interpolated_prec_rec` of the ActivityNet evaluation code; not interpolated, `prap` of the
    THUMOS14 evaluation kit of 2015.
    """
    starts = np.searchsorted(list_of_H, np.arange(num_positives.size))
    hits_so_far = np.arange(1, list_of_H.size + 1) - starts[list_of_H]
    precision = hits_so_far / (rank_H + 1)
    counted = _best_from_here_on(precision, list_of_H) if interpolated else precision
    area = np.bincount(list_of_H, weights=counted, minlength=num_positives.size)
    with np.errstate(invalid="ignore"):
        averages: FloatArray = np.where(num_positives > 0, area, np.nan) / num_positives
    return averages


def _best_from_here_on(precision_H: FloatArray, list_of_H: IntArray) -> FloatArray:
    """Running maximum from the end of each list; whole-number ranks keep it exact across lists."""
    values, rank = np.unique(precision_H, return_inverse=True)
    keyed = (list_of_H.max(initial=0) - list_of_H) * values.size + rank
    best: FloatArray = values[np.maximum.accumulate(keyed[::-1])[::-1] % max(values.size, 1)]
    return best
