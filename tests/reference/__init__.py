"""Slow and obvious versions used as oracles, and parity with published implementations."""
