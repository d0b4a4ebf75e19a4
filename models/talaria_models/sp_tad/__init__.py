"""SP-TAD: temporal action detection with sparse proposals, end to end from the frames."""
