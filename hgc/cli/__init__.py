"""The commands of the shell; `hgc.__main__` puts them together."""
