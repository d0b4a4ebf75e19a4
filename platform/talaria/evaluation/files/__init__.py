"""Prediction files: each format read into, and written from, flat columns."""
