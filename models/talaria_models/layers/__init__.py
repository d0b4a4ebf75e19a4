"""Blocks shared by at least two models."""
