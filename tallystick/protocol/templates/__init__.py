"""Charters to start from, as TOML: `cafe`, `studio`, `community`, `relief`.

Data only. Callers outside of the protocol read them with `importlib.resources`; the names are in `charter_templates`.
"""
