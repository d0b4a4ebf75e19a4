"""Temporal Context Aggregation Network: proposals refined from local, global and boundary context."""
