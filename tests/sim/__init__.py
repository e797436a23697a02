"""Many nodes in one process, by seed: the real cores, with only clock, network and disk replaced."""
