"""How optical flow is kept in bytes; free of torch, as the processes that compute it are.

128 is no motion and each side has 127 equal steps up to the bound, so 256 - x is the opposite motion and 0
does not occur. A network is given (x - 128) / 127: the published I3D's range of -1 to 1, no motion at 0.
"""

from __future__ import annotations

from typing import Any

FLOW_ZERO = 128
FLOW_STEPS = 127


def sees_flow(config: Any) -> bool:
    """Whether the clips of a backbone with this config hold flow; without a `modality` they hold colours."""
    return getattr(config, "modality", "rgb") == "flow"
