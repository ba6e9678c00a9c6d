"""Timers of entities: a property holds an instant, and at that instant an event is sent, once (spec 11.2).

An instant that is past already fires at once. What fired is remembered with the entity until the property gets another
value, so that neither a write of something else nor one of the same value fires it again.
"""

from collections.abc import Mapping
from dataclasses import field

from headrace.core.catalog.blueprint import Blueprint
from headrace.core.catalog.entity import Entity
from headrace.core.catalog.values import instant_of
from headrace.core.value_class import value_class


@value_class
class Timers:
    """The instants (ms) of an entity's timers by property: those still to come, and those that fired."""

    armed: Mapping[str, int] = field(default_factory=dict)
    fired: Mapping[str, int] = field(default_factory=dict)

    @property
    def next_due_at(self) -> int | None:
        """When the earliest timer is due; None without one."""
        return min(self.armed.values(), default=None)


def set_timers(blueprint: Blueprint, entity: Entity, before: Timers) -> Timers:
    """The timers of an entity that is written. A property with another instant than the one that fired is armed."""
    instants = {name: instant_of(entity.properties.get(name)) for name in blueprint.timers}
    armed = {name: at for name, at in instants.items() if at is not None and before.fired.get(name) != at}
    fired = {name: at for name, at in instants.items() if at is not None and before.fired.get(name) == at}
    return Timers(armed, fired)


def fire(timers: Timers, now: int) -> tuple[dict[str, int], Timers]:
    """The timers due at `now`, earliest first, and what remains."""
    due = dict(sorted(((name, at) for name, at in timers.armed.items() if at <= now), key=lambda it: (it[1], it[0])))
    armed = {name: at for name, at in timers.armed.items() if name not in due}
    return due, Timers(armed, {**timers.fired, **due})
