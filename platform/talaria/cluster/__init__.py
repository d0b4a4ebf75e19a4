"""The Ray cluster: join it or start one, and see that it can do the work."""
