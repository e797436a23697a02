"""Measurements of this machine; each file prints one JSON object."""
