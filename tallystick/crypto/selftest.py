"""The cases of the start-up self-test: signatures on which libraries are known to differ, and two plain ones.

Made by `tests/crypto/curve_cases.py`, which a test compares with this table. "Small" is a point of order 1, 2, 4 or 8;
"mixed" the sum of such a point and one of order L; an "alias" a second encoding of a point; a "residue" what remains
of small order in the equation, so that it holds only when both sides are multiplied by the cofactor 8.

The first 12 of the 16 hard cases are the situations of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020);
the last four are residues with a key and a nonce that no list of small points can refuse.
"""

from typing import Final

Case = tuple[str, bytes, bytes, bytes, bool]
"""Name, public key, message, signature, and whether it is valid under the strict rule."""


def _case(name: str, public: str, message: bytes, nonce: str, scalar: str, *, expected: bool) -> Case:
    return name, bytes.fromhex(public), message, bytes.fromhex(nonce + scalar), expected


CASES: Final[tuple[Case, ...]] = (
    _case(
        "honest",
        "0ef68b5180ba70126a1c35691714435e4f2b6051ff6d1264507920894cfab466",
        b"an honest signature",
        "472fc865296f662b44104177c9e0e4ed9e9e7b4fa34bbfecd12a82a56022b251",
        "cfaa2a77616ebcc4a86db3fe72ea6ec50471551ba64986847ba4cd92f4c88d0d",
        expected=True,
    ),
    _case(
        "honest, other message",
        "0ef68b5180ba70126a1c35691714435e4f2b6051ff6d1264507920894cfab466",
        b"another message",
        "472fc865296f662b44104177c9e0e4ed9e9e7b4fa34bbfecd12a82a56022b251",
        "cfaa2a77616ebcc4a86db3fe72ea6ec50471551ba64986847ba4cd92f4c88d0d",
        expected=False,
    ),
    _case(
        "key and nonce small",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        b"key and nonce small 27",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "0000000000000000000000000000000000000000000000000000000000000000",
        expected=False,
    ),
    _case(
        "key small",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        b"key small 2",
        "4c261951fba9f4ba7ece40431f212269f58becc2473c54cecda0e8f1e6f9d253",
        "e878dca548664051e5e695d8c157b538a506f9a3dd9f0e9cfed7f4de62238207",
        expected=False,
    ),
    _case(
        "nonce small",
        "c668425144eca1e8f9a8e178986f150a310e6f426cbc38a42c17a9e0c0e71982",
        b"nonce small 2",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "43bc80a17586ece5d50a6771daa4a357bf92fe7e8c04d4005a8b3b827fed5a06",
        expected=False,
    ),
    _case(
        "key and nonce mixed, no cofactor needed",
        "c668425144eca1e8f9a8e178986f150a310e6f426cbc38a42c17a9e0c0e71982",
        b"key and nonce mixed, no cofactor needed 2",
        "4c261951fba9f4ba7ece40431f212269f58becc2473c54cecda0e8f1e6f9d253",
        "d6aa50f7f36019008cfedf3944d219b6f61ec8ee3b9559a2ef678c23cbf3d800",
        expected=True,
    ),
    _case(
        "key and nonce mixed, cofactor needed",
        "c668425144eca1e8f9a8e178986f150a310e6f426cbc38a42c17a9e0c0e71982",
        b"key and nonce mixed, cofactor needed 0",
        "4c261951fba9f4ba7ece40431f212269f58becc2473c54cecda0e8f1e6f9d253",
        "cb4ea762f7c43a89037fe3f0d3e0d6d2f8709e8bc41367123cc56f44920e0706",
        expected=False,
    ),
    _case(
        "key mixed, cofactor applied to the hash",
        "c668425144eca1e8f9a8e178986f150a310e6f426cbc38a42c17a9e0c0e71982",
        b"key mixed, cofactor applied to the hash 0",
        "b31b20f50426242514d81b383548bd90de72fd0b8cf2382a88f9f52ce5076b23",
        "5589cd932a2d709780a43f19cbc90e24236700f705c0d61305c8c274187f3702",
        expected=False,
    ),
    _case(
        "scalar above L",
        "0f7608783489684c04726001595638e5258c2ed0bdb3d18d9e3453ea8bb458ad",
        b"scalar above L 0",
        "b31b20f50426242514d81b383548bd90de72fd0b8cf2382a88f9f52ce5076b23",
        "5d0db3791adda53cb54f1e60e48ed7aeeb3955610d1e9fab249195b9c0eefa12",
        expected=False,
    ),
    _case(
        "scalar far above L",
        "0f7608783489684c04726001595638e5258c2ed0bdb3d18d9e3453ea8bb458ad",
        b"scalar far above L 0",
        "b31b20f50426242514d81b383548bd90de72fd0b8cf2382a88f9f52ce5076b23",
        "561bdf511f2fdc81bf9c17577792689dbcacdb6960e27f31456ba1bca78e5be5",
        expected=False,
    ),
    _case(
        "nonce alias, hash of canonical",
        "c668425144eca1e8f9a8e178986f150a310e6f426cbc38a42c17a9e0c0e71982",
        b"nonce alias, hash of canonical 18",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "e270cf921413609d1f9e38a7bd08f77b91c27962da345f93d8d578b8af3b3c0d",
        expected=False,
    ),
    _case(
        "nonce alias, hash as sent",
        "c668425144eca1e8f9a8e178986f150a310e6f426cbc38a42c17a9e0c0e71982",
        b"nonce alias, hash as sent 2",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "3b576a6a2b285afba2a0fb3984a4498e906ac95e973ca5a848f80b672d634c0b",
        expected=False,
    ),
    _case(
        "key alias, hash of canonical",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        b"key alias, hash of canonical 0",
        "3ae4df0afbd9dbdaeb27e4c7cab7426f218d02f4730dc7d577060ad31af894dc",
        "e878dca548664051e5e695d8c157b538a506f9a3dd9f0e9cfed7f4de62238207",
        expected=False,
    ),
    _case(
        "key alias, hash as sent",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        b"key alias, hash as sent 1",
        "3ae4df0afbd9dbdaeb27e4c7cab7426f218d02f4730dc7d577060ad31af894dc",
        "e878dca548664051e5e695d8c157b538a506f9a3dd9f0e9cfed7f4de62238207",
        expected=False,
    ),
    _case(
        "residue of order 8 from the nonce",
        "0f7608783489684c04726001595638e5258c2ed0bdb3d18d9e3453ea8bb458ad",
        b"residue of order 8 from the nonce 0",
        "186ed2bdbd1a36f6437c5168b0221914018ea4f32a1c3fcd1c1794d64fbd596e",
        "b05a6e70b4a1819eb5faefa44a9d74087490a7831a328075bb098032da80f109",
        expected=False,
    ),
    _case(
        "residue of order 2 from the nonce",
        "0f7608783489684c04726001595638e5258c2ed0bdb3d18d9e3453ea8bb458ad",
        b"residue of order 2 from the nonce 0",
        "3ae4df0afbd9dbdaeb27e4c7cab7426f218d02f4730dc7d577060ad31af894dc",
        "9bc4cd9110fb8471ef2e0bb82be36aa97c990733e397875ee96e5d74bc76a20d",
        expected=False,
    ),
    _case(
        "residue from the key",
        "afbd7f2b93e9976bc6dfb416e90cd7e04b46bcd93140221b279ecc8802247d76",
        b"residue from the key 2",
        "b31b20f50426242514d81b383548bd90de72fd0b8cf2382a88f9f52ce5076b23",
        "3bccbb43cf3418b169068f058b12f2ad64c4d5f58c64cd3158dcb3619fc4f806",
        expected=False,
    ),
    _case(
        "residue from key and nonce",
        "0c95d2c54a230a9843a7a11a732688babe27ac7437b217d568354ab47bd1d58b",
        b"residue from key and nonce 0",
        "d5912d4242e5c909bc83ae974fdde6ebfe715b0cd5e3c032e3e86b29b042a691",
        "1ab2352ba5913ef97e30f8f45d1d7b1f52e166b271f25c7e042e23f995b80308",
        expected=False,
    ),
)
