"""Steps of a plan that are alike, recorded once and replayed without Python."""
