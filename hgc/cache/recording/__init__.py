"""What a row of a plan computes, recorded once and replayed without Python."""
