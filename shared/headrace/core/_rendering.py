"""Rendering templates inside a decision."""

from headrace.core import limits
from headrace.core._draft import Draft
from headrace.core.expression import Empty
from headrace.core.json import Json
from headrace.core.template import Template, TemplateError
from headrace.core.weight import objection


def render(draft: Draft, scope: str, template: Template, root: Json, most: int = limits.RENDERED_BYTES) -> Json:
    """The template's value on `root`; undefined reads as null. Raises TemplateError, also for a value out of bounds.

    `most` bounds the bytes of the value, written as JSON.
    """
    answers = draft.answers_for(scope, template.foreign, root) if template.foreign else {}
    value = template.render(root, answers)
    if isinstance(value, Empty):
        return None
    refused = objection(value, most)
    if refused is not None:
        raise TemplateError("", refused)
    return value
