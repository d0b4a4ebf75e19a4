"""A small classifier of whole videos on stored snippet features."""
