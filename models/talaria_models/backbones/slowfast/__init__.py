"""SlowFast networks: a slow pathway for appearance, a fast and thin one for motion."""
