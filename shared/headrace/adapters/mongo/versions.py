"""Documents carry the version of their shape in `v`, and are upgraded when they are read.

A shape changes by a new version and one function that turns the version before it into the new one; nobody rewrites
what is stored. What is written is always of the newest version, so the store upgrades itself as its documents change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.documents import UndecodableDocumentError

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of document. `upgrades` has for each older version the function that leads to the next."""

    name: str
    version: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)

    def read(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document in the newest shape. Raises UndecodableDocumentError, which names it by its `_id`."""
        version = document.get("v")
        if version == self.version:
            return document
        if type(version) is not int or version < 1:
            raise UndecodableDocumentError(f"{self.name} {document.get('_id')!r} in MongoDB has no version")
        if version > self.version:
            raise UndecodableDocumentError(
                f"{self.name} {document.get('_id')!r} in MongoDB is of version {version}, newer than this release "
                f"reads ({self.version}): upgrade all services first"
            )
        for step in range(version, self.version):
            document = self.upgrades[step](document)
        return document
