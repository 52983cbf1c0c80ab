"""The same work over many devices: here in one process, on Ray, or on other open pages."""
