"""From videos to stored features on Ray Data: clips for fine-tuning, extraction, commit."""
