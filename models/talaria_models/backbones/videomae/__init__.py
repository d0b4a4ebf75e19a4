"""VideoMAE: joint attention over tubelets, pre-trained by filling in masked ones; Hugging Face's network."""
