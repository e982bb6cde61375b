"""Reads the parameters of POST /parse, from the query and from fields beside the image. Unknown ones are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams

from service.parsing.parser import ImageParser
from service.problems import Problem, invalid_parameter
from service.responses.encoding import Format, Layer
from service.responses.schemas import MaskFormat


class Parameters(BaseModel):
    """The parameters that a client may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    masks: MaskFormat = Field("rle", description="form of the masks in JSON")
    layer: Layer | None = Field(None, description="what an image shows: with Accept: image/*")
    format: Format | None = Field(None, description="JSON that another tool imports, instead of ours")
    person: int | None = Field(None, ge=1, description="id of the person that layer=cutout shows; none: everybody")
    detail: str | None = Field(None, description="a level that /model lists: finer ones find smaller people")
    min_score: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, description="people of a lower score are left out")


PARAMETERS = tuple(Parameters.model_fields)


def read_parameters(query: QueryParams, fields: Mapping[str, str]) -> Parameters:
    """Return the parameters of a request; `fields` stand beside the image in its form or JSON.

    Raises Problem "invalid-parameter" for a parameter that is unknown, invalid, given twice or at odds with another.
    """
    given = [*query.multi_items(), *fields.items()]
    repeated = [name for name, number in Counter(name for name, _ in given).items() if number > 1]
    if repeated:
        raise _problem([(name, "is given more than once: send one value") for name in repeated])
    try:
        parameters = Parameters.model_validate(dict(given))
    except ValidationError as error:
        raise parameter_problem(error.errors(), PARAMETERS) from error
    if parameters.format and parameters.layer:
        raise invalid_parameter("format", "format is JSON and layer an image: send one of them")
    if parameters.person is not None and parameters.layer != "cutout":
        raise invalid_parameter("person", "person chooses whom layer=cutout shows: send both")
    return parameters


def check_detail(detail: str | None, parser: ImageParser) -> None:
    """Raises Problem "invalid-parameter" for a level of detail that is not served."""
    if detail is not None and detail not in parser.levels:
        choices = ", ".join(parser.levels)
        raise invalid_parameter("detail", f"detail={detail} is not served here: choose of {choices}")


def parameter_problem(errors: Sequence[Any], known: Sequence[str]) -> Problem:
    """Return pydantic's errors as a problem that names each parameter, and those there are for an unknown one."""
    return _problem([(str(error["loc"][-1]), _reason(error, known)) for error in errors])


def unknown_fields(names: Sequence[str], known: Sequence[str]) -> Problem:
    """Return the problem of fields that no form or JSON of ours has."""
    return _problem([(name, f"is unknown; known: {', '.join(known)}") for name in names])


def _reason(error: Mapping[str, Any], known: Sequence[str]) -> str:
    if error["type"] == "extra_forbidden":
        return f"is unknown; known: {', '.join(known)}"
    return f"{error['input']!r:.99} is invalid: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _problem(reasons: Sequence[tuple[str, str]]) -> Problem:
    errors = [{"parameter": name, "detail": reason} for name, reason in reasons]
    return Problem("invalid-parameter", "; ".join(f"{name} {reason}" for name, reason in reasons), errors=errors)
