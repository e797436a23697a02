"""Tallystick: a peer-to-peer ledger for ventures without a boss or a server.

`cli -> node -> protocol -> crypto`: a person types, the node touches the world, the protocol is the law, crypto signs.
"""

__version__ = "0.1.0"
