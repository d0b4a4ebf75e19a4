"""What models believe, stored; and how it becomes detections."""
