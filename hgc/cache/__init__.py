"""The engine: plans, the methods that make them, and what runs them. Knows torch and diffusers, nothing of the app."""
