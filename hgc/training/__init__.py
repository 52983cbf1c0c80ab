"""Making the embedded model: only needed to train it, never to run it."""
