"""TimeSformer: attention over all patches, over time and space apart; Hugging Face's network."""
