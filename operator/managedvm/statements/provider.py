"""Who sends the statement: the letterhead, in a YAML file of the provider's."""

from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

Line = Annotated[str, Field(min_length=1, max_length=128)]


class NotALetterheadError(ValueError):
    """The file does not say who the provider is; the message names the fields."""


class Provider(BaseModel):
    """The provider as a document names it; an invoice needs all that is asked for here."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    name: Line
    street: Line
    postal_code: Line
    city: Line
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "DE"
    vat_id: Annotated[str, Field(alias="vatID", pattern=r"^[A-Z]{2}[A-Z0-9]{2,18}$")]
    contact: Line
    phone: Line
    email: Line
    register_entry: Annotated[str, Field(max_length=128)] = ""
    bank: Annotated[str, Field(max_length=64)] = ""
    iban: Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}$")]
    bic: Annotated[str, Field(pattern=r"^[A-Z0-9]{8}([A-Z0-9]{3})?$")] | None = None
    payment_days: Annotated[int, Field(ge=0, le=120)] = 14


def read_provider(text: str) -> Provider:
    """Return the provider that a YAML text describes; raises NotALetterheadError."""
    try:
        return Provider.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        problems = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise NotALetterheadError(f"the provider's file is not complete: {problems}") from error
