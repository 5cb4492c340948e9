"""JSON Schema of a model, with what the lines under its fields say of them as descriptions.

pydantic can do this while it builds a model (`use_attribute_docstrings`), but then every command reads the source of
every model before it does anything.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

DIALECT = GenerateJsonSchema.schema_dialect


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": DIALECT, **model.model_json_schema(by_alias=True, schema_generator=_WithDescriptions)}


class _WithDescriptions(GenerateJsonSchema):
    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        told = field_docstrings(model)
        for name, field in model.model_fields.items():
            described = made.get("properties", {}).get(field.alias or name)
            if described is not None and name in told:
                described.setdefault("description", told[name])
        return made


def field_docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """Field -> the string below it in the source of the class, or of the nearest base class that has it."""
    told: dict[str, str] = {}
    for defining in reversed(model.__mro__):
        if issubclass(defining, BaseModel) and defining is not BaseModel:
            told |= _docstrings_below(defining)
    return told


def _docstrings_below(defining: type) -> Mapping[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(defining))).body
    lines = definition.body if isinstance(definition, ast.ClassDef) else []
    told = {}
    for line, below in pairwise(lines):
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            told[line.target.id] = inspect.cleandoc(below.value.value)
    return told
