"""One weight per member: equal ones, by relative performance, and by greedy forward selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Weights = tuple[float, ...]
"""One per member, at or above 0, with sum 1."""
Score = Callable[[Weights], float]
"""What a set of weights is worth; higher is better."""


def equal_weights(num_members: int) -> Weights:
    """The same weight for every member."""
    return shares((1,) * num_members)


def performance_weights(performances: Sequence[float], power: float) -> Weights:
    """Weights in proportion to a power of what each member is worth by itself.

    Args:
        performances: at or above 0, such as average mAP on the videos to fit on.
        power: 1 is the report's; 0 gives equal weights, a large one the best member alone.

    Returns:
        Equal weights where no member is worth anything.

    Source: 2021 report of TCANet and KT-MGFN, section 3.2: normalised weights by relative performance; the
    power is ours.
    """
    best = max(performances)
    return shares([(one / best) ** power for one in performances] if best > 0 else [1] * len(performances))


def greedy_weights(score: Score, start: Weights, rounds: int) -> Weights:
    """Give votes away one by one, each to the member that helps most; a weight is a share of the votes.

    The starting weights have one vote per member of weight, and the shortest best prefix of the path is
    returned, so that weights leave the start only as far as the score rises: the regularisation. Of equally
    good members the one with fewer votes is taken, then the first; the result depends on nothing but the
    scores.

    Args:
        score: from weights to what they are worth, such as average mAP on the videos to fit on.
        start: one weight per member, with sum 1.
        rounds: votes to give away.

    Source: Caruana et al. 2004, Ensemble Selection from Libraries of Models: selection with replacement, here
    with the votes of `start` instead of the best models as the initial ensemble.
    """
    votes: tuple[float, ...] = tuple(weight * sum(one > 0 for one in start) for weight in start)
    best, best_score = votes, score(shares(votes))
    for _ in range(rounds if len(start) > 1 else 0):
        tried = [_with_vote(votes, member) for member in range(len(start))]
        scores = [score(shares(one)) for one in tried]
        member = min(range(len(start)), key=lambda index: (-scores[index], votes[index], index))
        votes = tried[member]
        if scores[member] > best_score:
            best, best_score = votes, scores[member]
    return shares(best)


def mean_weights(listed: Sequence[Weights]) -> Weights:
    """The mean of several sets of weights; equal sets give the very same one."""
    if len(set(listed)) == 1:
        return listed[0]
    return shares([sum(column) / len(listed) for column in zip(*listed, strict=True)])


def without_specks(weights: Weights, least: float) -> Weights:
    """The weights with those below `least` times an equal share taken for 0: a model less to load."""
    kept = tuple(weight if weight * len(weights) >= least else 0.0 for weight in weights)
    return weights if kept == weights else shares(kept)


def shares(votes: Sequence[float]) -> Weights:
    """Votes as weights that sum to 1."""
    total = sum(votes)
    return tuple(vote / total for vote in votes)


def _with_vote(votes: tuple[float, ...], member: int) -> tuple[float, ...]:
    return (*votes[:member], votes[member] + 1, *votes[member + 1 :])
