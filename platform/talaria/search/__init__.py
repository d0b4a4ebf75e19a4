"""Searches: the outer one retrains, the inner one only repeats post-processing on stored predictions."""
