"""Models of self-serve forms: `userInputs` of triggers and INPUT nodes (spec 2.1.1-2.1.4, 5.1)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from headrace.core import limits
from headrace.core.authoring._document_part import (
    AnyObject,
    BoolOrJq,
    BoolOrObject,
    CountOrJq,
    Encryption,
    Identifier,
    ListOrJq,
    Part,
    Text,
    TextOrJq,
    TextsOrJq,
)

InputTitle = Annotated[str, Field(max_length=limits.INPUT_TITLE_LENGTH)]
InputDescription = Annotated[str, Field(max_length=limits.INPUT_DESCRIPTION_LENGTH)]
InputType = Literal["string", "number", "boolean", "object", "array"]
Count = Annotated[int, Field(ge=0)]


class InputSort(Part):
    property: str
    order: Literal["ASC", "DESC"] = "ASC"


class InputItems(Part):
    """The items of an array input."""

    type: Literal["string", "number", "boolean", "object"] = "string"
    format: str | None = None
    title: InputTitle | None = None
    description: InputDescription | None = None
    blueprint: str | None = None
    dataset: AnyObject | None = None
    sort: InputSort | None = None
    enum: ListOrJq = None
    enum_colors: AnyObject | None = None
    pattern: TextOrJq = None
    min_length: Count | None = None
    max_length: Count | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    properties: "dict[str, InputDefinition] | None" = None
    required: TextsOrJq = None
    additional_properties: BoolOrObject = None


class InputDefinition(Part):
    """One input of a form (spec 2.1.2, 2.1.3)."""

    type: InputType
    format: str | None = None
    """What kind of string or object: date-time, email, url, entity, user, team, multi-line, markdown, yaml, ..."""
    title: InputTitle | None = None
    description: InputDescription | None = None
    icon: str | None = None
    default: Any = None
    """The value taken when none is given: a literal of the type, or {"jqQuery": "..."}."""
    depends_on: list[str] | None = None
    visible: BoolOrJq = None
    read_only: BoolOrJq = None
    disabled: BoolOrJq = None
    enum: ListOrJq = None
    enum_colors: AnyObject | None = None
    encryption: Encryption = None
    pattern: TextOrJq = None
    min_length: Count | None = None
    max_length: Count | None = None
    blueprint: str | None = None
    """With format entity: the blueprint whose entities can be picked."""
    dataset: AnyObject | None = None
    sort: InputSort | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    properties: "dict[str, InputDefinition] | None" = None
    required: TextsOrJq = None
    pattern_properties: AnyObject | None = None
    additional_properties: BoolOrObject = None
    items: InputItems | None = None
    min_items: CountOrJq = None
    max_items: CountOrJq = None
    unique_items: bool | None = None


class InputHeading(Part):
    """A section heading, placed through `order`."""

    title: Annotated[str, Field(min_length=1, max_length=limits.INPUT_TITLE_LENGTH)]
    description: InputDescription | None = None
    visible: BoolOrJq = None


class InputValidation(Part):
    """A JQ test on `.form` that must give true."""

    constraint: Text
    message: Annotated[str, Field(max_length=limits.VALIDATION_MESSAGE_LENGTH)]


Validations = Annotated[list[InputValidation], Field(min_length=1, max_length=limits.VALIDATIONS)]


class InputStep(Part):
    """One page of a form of several pages."""

    title: Annotated[str, Field(max_length=limits.STEP_TITLE_LENGTH)]
    order: list[str]
    visible: BoolOrJq = None
    validations: Validations | None = None


class InputButton(Part):
    """A button of an INPUT node's form."""

    identifier: Identifier
    label: str | None = None
    variant: Literal["PRIMARY", "SECONDARY", "DANGER"] = "PRIMARY"
    icon: str | None = None


class UserInputs(Part):
    """A form: its inputs and how they are laid out."""

    properties: dict[str, InputDefinition] = Field(default_factory=dict)
    required: TextsOrJq = None
    order: list[str] | None = None
    titles: dict[str, InputHeading] | None = None
    steps: list[InputStep] | None = None
    validations: Validations | None = None


class UserInputsWithButtons(UserInputs):
    """The form of an INPUT node."""

    buttons: Annotated[list[InputButton], Field(min_length=1)]
