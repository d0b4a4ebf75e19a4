"""Annotation layouts of public datasets, each turned into the ActivityNet tree."""
