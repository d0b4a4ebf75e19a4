"""Artifacts on disk: named folders whose record is written last."""
