"""I3D: the Inception network of images, its filters and pools inflated over time."""
