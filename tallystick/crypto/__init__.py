"""Hashes, signatures, keys and the texts people hold them in.

The lowest layer: it imports nothing else of Tallystick, reads no clock, draws no luck and touches no file. Randomness
comes in as an argument. `hashing` and `errors` serve everything; `signatures` judges, `keys` signs, `keystore` seals a
secret under a passphrase, `words` and `bech32m` turn bytes into something to write down or send.

Sources: RFC 8032 (Ed25519, with the stricter rule of `signatures`), RFC 9106 (Argon2id), RFC 7914 (scrypt), RFC 8439
(ChaCha20-Poly1305), BIP-39 (words), BIP-350 (bech32m).
"""
