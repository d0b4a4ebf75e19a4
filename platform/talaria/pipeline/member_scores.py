"""What an ensemble found out about its members by themselves goes to their own runs, too."""

from __future__ import annotations

from talaria.ensemble.members import pick_members
from talaria.pipeline.fusion import Fused, members_filter
from talaria.pipeline.fusion_result import short_name
from talaria.pipeline.session import Session
from talaria.tracking.mlflow_tracker import SUBSET_TAG, RunRef


def track_alone(session: Session, fused: Fused) -> None:
    """Log each member's average mAP and mAP@0.5 alone, and on which subset; what is known is not sent again.

    The members are asked for once more, because a finished ensemble may have been tracked elsewhere before,
    where its members' runs had other ids.
    """
    scores = {member["name"]: member for member in fused.result["members"]}
    for member in pick_members(session.tracker, members_filter(session)):
        alone = scores[short_name(session, member)]
        run = RunRef(member.run_id, "", member.name)
        session.tracker.metrics(run, {name: alone[name] for name in ("average_map", "map_at_50")})
        session.tracker.tag(run, SUBSET_TAG, session.config.data.judge_subset)
