"""The embedded model's world: a seeded painter, its labels and captions, and how they become weights."""
