"""ViViT: a transformer over tubelets, joint in space and time or factorised."""
