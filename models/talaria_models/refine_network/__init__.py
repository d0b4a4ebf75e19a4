"""Refine Network of the 2020 HACS winners: a cascade that moves proposals and scores them anew."""
