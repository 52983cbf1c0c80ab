"""A finished comparison, and everything that is made from it: figures, exports, evidence."""
