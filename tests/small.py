"""Pictures of a quarter of the embedded model's size, for tests to which it does not matter what is on them."""

SIZE = (128, 128)
