"""How an entity and its timers lie in a store: bytes that only we read, as contracts/documents.py does for runs."""

from typing import Any

import orjson

from headrace.contracts.documents import UndecodableDocumentError
from headrace.contracts.envelope import dump
from headrace.core.catalog.entity import Entity
from headrace.core.catalog.timers import Timers

__all__ = ["UndecodableDocumentError", "decode_entity", "encode_entity"]

VERSION = 1


def encode_entity(entity: Entity, timers: Timers) -> bytes:
    """The entity as bytes. Raises UnencodableMessageError."""
    return dump(
        {
            "v": VERSION, "blueprint": entity.blueprint, "identifier": entity.identifier,
            "createdAt": entity.created_at, "createdBy": entity.created_by,
            "updatedAt": entity.updated_at, "updatedBy": entity.updated_by,
            "title": entity.title, "icon": entity.icon, "team": entity.team,
            "properties": entity.properties, "relations": entity.relations,
            "armed": timers.armed, "fired": timers.fired,
        }
    )  # fmt: skip


def decode_entity(document: bytes) -> tuple[Entity, Timers]:
    """What `encode_entity` was given. Raises UndecodableDocumentError."""
    try:
        data: dict[str, Any] = orjson.loads(document)
        version = data["v"]
        if version != VERSION:
            raise UndecodableDocumentError(
                f"the document of an entity is of version {version}; this release reads {VERSION}: upgrade first"
            )
        entity = Entity(
            data["blueprint"], data["identifier"], data["createdAt"], data["createdBy"], data["updatedAt"],
            data["updatedBy"], data["title"], data["icon"], tuple(data["team"]), data["properties"], data["relations"],
        )  # fmt: skip
        return entity, Timers(data["armed"], data["fired"])
    except (LookupError, TypeError, ValueError) as error:
        raise UndecodableDocumentError(f"the document of an entity is damaged: {error!r}") from error
