"""Talaria: raw untrimmed videos in, scored action segments out."""

__version__ = "0.1.0"
