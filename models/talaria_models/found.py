"""What a detector found by itself in one video: segments, each with a score and classes of its own.

Letters: P segments, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FoundSegments:
    """Segments of one video, best first.

    Attributes:
        segments_P2: start <= end, fractions of the video in [0, 1].
        scores_P: in [0, 1], how likely each is an action, whichever.
        class_scores_PK: in [0, 1], how likely each is an action of each class, given that it is one.
    """

    segments_P2: NDArray[np.float32]
    scores_P: NDArray[np.float32]
    class_scores_PK: NDArray[np.float32]
