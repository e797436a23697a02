"""Names of the charters to start from. Their texts are package data: `templates/<name>.toml`.

Whoever shows one reads it, with
`importlib.resources.files("tallystick.protocol.templates").joinpath(name + ".toml")`: the rules open no files.
"""

from typing import Final

#: Name, and what it is for in one line.
TEMPLATES: Final[dict[str, str]] = {
    "cafe": "a shop that many people own and run in shifts",
    "studio": "a workshop whose steps sell to one another",
    "community": "many people who promote something in small deeds",
    "relief": "volunteers and donors, every gift traced",
}
PACKAGE: Final = "tallystick.protocol.templates"
