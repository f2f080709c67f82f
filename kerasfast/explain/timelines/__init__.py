"""What is seen in a video, and when: looking at it, segments, and what is written of them."""
