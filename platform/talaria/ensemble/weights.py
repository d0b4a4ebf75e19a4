"""Learning one weight per member by greedy forward selection with replacement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Score = Callable[[tuple[float, ...]], float]
"""What a set of weights is worth; higher is better."""


@dataclass(frozen=True)
class Selection:
    """The outcome of a greedy selection.

    Attributes:
        weights: one per member, at or above 0, with sum 1.
        score: what they are worth.
        path: the best score with 0, 1, 2, ... votes given; `path[0]` is that of equal weights.
    """

    weights: tuple[float, ...]
    score: float
    path: tuple[float, ...]


def greedy_weights(score: Score, num_members: int, rounds: int) -> Selection:
    """Give votes away one by one, each to the member that helps most; a weight is a share of the votes.

    Every member starts with one vote and the shortest best prefix of the path is returned, so that weights
    leave equality only as far as the score rises: the regularisation. Of equally good members the one with
    fewer votes is taken, then the first; the result depends on nothing but the scores.

    Args:
        score: from weights to what they are worth, such as average mAP on the videos to fit on.
        num_members: N, at least 1.
        rounds: votes to give away.

    Source: Caruana et al. 2004, Ensemble Selection from Libraries of Models: selection with replacement, here
    with equal votes instead of the best models as the initial ensemble.
    """
    votes = (1,) * num_members
    best, best_score = votes, score(shares(votes))
    path = [best_score]
    for _ in range(rounds if num_members > 1 else 0):
        tried = [_with_vote(votes, member) for member in range(num_members)]
        scores = [score(shares(one)) for one in tried]
        member = min(range(num_members), key=lambda index: (-scores[index], votes[index], index))
        votes = tried[member]
        path.append(scores[member])
        if scores[member] > best_score:
            best, best_score = votes, scores[member]
    return Selection(shares(best), best_score, tuple(path))


def equal_weights(num_members: int) -> tuple[float, ...]:
    """The same weight for every member."""
    return shares((1,) * num_members)


def shares(votes: tuple[int, ...]) -> tuple[float, ...]:
    """Votes as weights that sum to 1."""
    return tuple(vote / sum(votes) for vote in votes)


def _with_vote(votes: tuple[int, ...], member: int) -> tuple[int, ...]:
    return (*votes[:member], votes[member] + 1, *votes[member + 1 :])
