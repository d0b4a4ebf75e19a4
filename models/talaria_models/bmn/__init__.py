"""Boundary-Matching Network: startness, endness and a map of proposal confidences."""
