"""Does an entity fit search rules? And what must be known beside it to say so.

A list is what its items are: `=`, `in`, the texts and the comparisons hold when they hold for one item. The negations
(`!=`, `notIn`, `notBetween`, `doesNot...`) hold exactly when what they negate does not; so they hold where there is no
value. Texts that are both dates with a time zone are compared as instants, others letter by letter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from headrace.core.authoring.input_values import same
from headrace.core.catalog.blueprint import Blueprint
from headrace.core.catalog.entity import Entity, document_of, key_of, targets
from headrace.core.catalog.rules import Group, PropertyRule, RelatedTo, RelationRule, Rule
from headrace.core.catalog.values import instant_of
from headrace.core.json import Json

_NEGATED = {
    "!=": "=",
    "doesNotContains": "contains",
    "doesNotBeginsWith": "beginsWith",
    "doesNotEndsWith": "endsWith",
    "notIn": "in",
    "isNotEmpty": "isEmpty",
    "notBetween": "between",
}
_META = ("identifier", "title", "blueprint", "team", "icon", "createdAt", "updatedAt", "createdBy", "updatedBy")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What rules may ask beside the entity: blueprints by identifier, and entities by key (see `keys_for`)."""

    blueprints: Mapping[str, Blueprint] = field(default_factory=dict)
    entities: Mapping[str, Entity] = field(default_factory=dict)


def fits(rule: Rule, entity: Entity, surroundings: Surroundings) -> bool:
    """Whether the rule holds for the entity. An entity that is asked for and not in the surroundings does not exist."""
    match rule:
        case Group():
            one = (fits(inner, entity, surroundings) for inner in rule.rules)
            return not rule.rules or (all(one) if rule.combinator == "and" else any(one))
        case PropertyRule():
            return _holds(rule.operator, _property(rule.property, entity), rule.value)
        case RelationRule():
            return _holds(rule.operator, _relation(rule, entity, surroundings), rule.value)
        case RelatedTo():
            return any(_is_related(entity, key_of(rule.blueprint, it), surroundings) for it in rule.identifiers)


def keys_in(rule: Rule) -> set[str]:
    """The keys of entities that the rules name, whichever entity they are asked of."""
    return {key_of(it.blueprint, name) for it in _leaves(rule) if isinstance(it, RelatedTo) for name in it.identifiers}


def keys_for(rule: Rule, entity: Entity, blueprint: Blueprint | None) -> set[str]:
    """The keys of the entities whose titles the rules need of this entity."""
    found: set[str] = set()
    for it in _leaves(rule):
        if isinstance(it, RelationRule) and it.by_title and blueprint and it.relation in blueprint.relations:
            target = blueprint.relations[it.relation].target
            found.update(key_of(target, name) for name in targets(entity.relations.get(it.relation)))
    return found


def only_blueprints(rule: Rule) -> frozenset[str] | None:
    """The blueprints to which the rules confine themselves; None for no such limit."""
    if isinstance(rule, PropertyRule) and rule.property == "$blueprint":
        names = rule.value if rule.operator == "in" else [rule.value] if rule.operator == "=" else None
        return None if not isinstance(names, list) else frozenset(name for name in names if isinstance(name, str))
    if not isinstance(rule, Group) or not rule.rules:
        return None
    limits = [only_blueprints(inner) for inner in rule.rules]
    given = [limit for limit in limits if limit is not None]
    if rule.combinator == "and":
        return frozenset.intersection(*given) if given else None
    return frozenset.union(*given) if len(given) == len(limits) else None


def _leaves(rule: Rule) -> Iterator[Rule]:
    if isinstance(rule, Group):
        for inner in rule.rules:
            yield from _leaves(inner)
    else:
        yield rule


def _property(name: str, entity: Entity) -> Json:
    if not name.startswith("$"):
        return entity.properties.get(name)
    return document_of(entity)[name[1:]] if name[1:] in _META else None


def _relation(rule: RelationRule, entity: Entity, surroundings: Surroundings) -> Json:
    value = entity.relations.get(rule.relation)
    if not rule.by_title:
        return value
    blueprint = surroundings.blueprints.get(entity.blueprint)
    relation = blueprint.relations.get(rule.relation) if blueprint else None
    found = [surroundings.entities.get(key_of(relation.target, name)) for name in targets(value)] if relation else []
    return [target.title for target in found if target is not None and target.title is not None]


def _is_related(entity: Entity, key: str, surroundings: Surroundings) -> bool:
    other = surroundings.entities.get(key)
    return _leads_to(entity, key, surroundings) or (other is not None and _leads_to(other, entity.key, surroundings))


def _leads_to(entity: Entity, key: str, surroundings: Surroundings) -> bool:
    blueprint = surroundings.blueprints.get(entity.blueprint)
    return blueprint is not None and any(
        key_of(relation.target, target) == key
        for name, relation in blueprint.relations.items()
        for target in targets(entity.relations.get(name))
    )


def _holds(operator: str, actual: Json, wanted: Json) -> bool:
    if operator in _NEGATED:
        return not _holds(_NEGATED[operator], actual, wanted)
    if operator == "isEmpty":
        return actual is None or actual in ("", [], {})
    if operator == "=" and _same(actual, wanted):
        return True
    if operator == "contains" and isinstance(actual, list):
        return any(_same(item, wanted) for item in actual)
    if operator == "containsAny":
        items = actual if isinstance(actual, list) else [actual]
        return isinstance(wanted, list) and any(_same(item, one) for item in items for one in wanted)
    if isinstance(actual, list):
        return any(_holds_of_one(operator, item, wanted) for item in actual)
    return _holds_of_one(operator, actual, wanted)


def _holds_of_one(operator: str, actual: Json, wanted: Json) -> bool:
    match operator:
        case "=":
            return _same(actual, wanted)
        case "in":
            return isinstance(wanted, list) and any(_same(actual, one) for one in wanted)
        case "contains" | "beginsWith" | "endsWith":
            return isinstance(actual, str) and isinstance(wanted, str) and _in_text(operator, actual, wanted)
        case "between":
            bounds = wanted if isinstance(wanted, dict) else {}
            return _compares(">=", actual, bounds.get("from")) and _compares("<=", actual, bounds.get("to"))
        case _:
            return _compares(operator, actual, wanted)


def _same(left: Json, right: Json) -> bool:
    # nearly all that is compared are texts, and those need no look at the rest of JSON
    return left == right if isinstance(left, str) else same(left, right)


def _in_text(operator: str, actual: str, wanted: str) -> bool:
    if operator == "beginsWith":
        return actual.startswith(wanted)
    return actual.endswith(wanted) if operator == "endsWith" else wanted in actual


def _compares(operator: str, actual: Json, wanted: Json) -> bool:
    order = _order(actual, wanted)
    if order is None:
        return False
    match operator:
        case "<":
            return order < 0
        case "<=":
            return order <= 0
        case ">":
            return order > 0
        case _:
            return order >= 0


def _order(left: Json, right: Json) -> int | None:
    """Below, at or above zero as left is less than, equal to or more than right; None if they do not compare."""
    if isinstance(left, str) and isinstance(right, str):
        first, second = instant_of(left), instant_of(right)
        if first is not None and second is not None:
            return (first > second) - (first < second)
        return (left > right) - (left < right)
    if isinstance(left, bool) or isinstance(right, bool):
        return None
    if isinstance(left, int | float) and isinstance(right, int | float):
        return (left > right) - (left < right)
    return None
