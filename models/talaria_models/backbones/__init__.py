"""Networks that turn a clip of frames into one feature vector and class logits."""
