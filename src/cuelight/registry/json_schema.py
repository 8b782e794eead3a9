"""A JSON Schema of the YAML file, for the completion and the checks of editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docstring_parser
from pydantic import BaseModel

from cuelight.config import Config
from cuelight.registry.kinds import KINDS, Kind
from cuelight.registry.manifest import manifest
from cuelight.registry.parts import registry_of

Schema = dict[str, Any]

_FROM_ENVIRONMENT: Schema = {"type": "string", "pattern": r"\$\{env:"}
_SIMPLE: dict[str, Schema] = {
    "any": {}, "bool": {"type": "boolean"}, "float": {"type": "number"}, "int": {"type": "integer"},
    "null": {"type": "null"}, "number": {"type": "number"}, "part": {"type": "object"}, "path": {"type": "string"},
    "str": {"type": "string"}, "timedelta": {"type": "string"}, "dict": {"type": "object"},
    "mapping": {"type": "object"}, "list": {"type": "array"}, "tuple": {"type": "array"},
    "iterable": {"type": "array"}, "sequence": {"type": "array"},
}  # fmt: skip
_BOUNDS = {
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum",
    "min_length": "minItems", "max_length": "maxItems",
}  # fmt: skip
_PLACES = {
    "Config": {"model": "model", "data": "data"},
    "TrainerConfig": {"optimizer": "optimizer", "scheduler": "scheduler", "callbacks": "callback"},
}
_MODELS = {
    "model": "ModelPart", "optimizer": "OptimizerPart", "scheduler": "SchedulerPart", "callback": "CallbackPart",
}  # fmt: skip


def make_schema() -> Schema:
    """Return the schema of a configuration: all names with their parameters, types, ranges, defaults and help."""
    schema = Config.model_json_schema()
    sections = schema.pop("$defs")
    root = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Cuelight"}
    root |= _section(Config, schema)
    for model in _models_in(Config):
        if model.__name__ in sections:
            sections[model.__name__] = _section(model, sections[model.__name__])
    definitions = {kind.name: _part(kind, sections.get(_MODELS.get(kind.name, "Part"), {})) for kind in KINDS}
    for name, names in manifest()["names"].items():
        lower = {text.lower() for text in names}
        tagged = {"type": "string", "pattern": r"^[^.]+\.[^.]+"}  # with a tag of its weights, as in resnet18.a1_in1k
        definitions[name] = {"anyOf": [{"enum": sorted({*names, *lower})}, tagged]}
    return root | {"$defs": sections | definitions}


def _section(model: type[BaseModel], schema: Schema) -> Schema:
    """Add help, references to environment variables and the parts of each kind to the schema of a section."""
    texts = _attribute_help(model)
    places = _PLACES.get(model.__name__, {})
    properties = {}
    for key, described in schema["properties"].items():
        allowed = {name: value for name, value in described.items() if name != "title"}
        if kind := places.get(key):
            part = {"$ref": f"#/$defs/{kind}"}
            allowed = {"type": "array", "items": part} if key == "callbacks" else part
        elif "$ref" not in allowed and "properties" not in allowed:
            allowed = {"anyOf": [allowed, _FROM_ENVIRONMENT]}
        if "default" in described and "anyOf" in allowed:
            allowed["default"] = described["default"]
        may_be_empty = "$ref" in described or key in ("callbacks", "scheduler", "params", "freeze", "groups")
        if may_be_empty and key not in ("model", "data"):
            allowed = {"anyOf": [allowed, {"type": "null"}]}
        properties[key] = {"description": texts[key]} | allowed if key in texts else allowed
    kept = {key: schema[key] for key in ("type", "required", "additionalProperties") if key in schema}
    return kept | {"properties": properties}


def _part(kind: Kind, section: Schema) -> Schema:
    """Return the schema of a part: for each name of its kind, the parameters."""
    registry = registry_of(kind.name)
    entries = {name: registry.entry(name) for name in registry.names()}
    names: list[Schema] = [{"const": name, "description": entry["summary"]} for name, entry in entries.items()]
    default = section.get("properties", {}).get("name", {}).get("default")
    properties = dict(section.get("properties", {})) | {"name": {"anyOf": [*names, _FROM_ENVIRONMENT]}, "params": {}}
    return {
        "type": "object",
        "required": [] if default else ["name"],
        "additionalProperties": False,
        "properties": properties,
        "allOf": [
            {
                "if": {"properties": {"name": {"const": name}}, "required": [] if name == default else ["name"]},
                "then": _with_parameters(entry, kind),
            }
            for name, entry in entries.items()
        ],
    }


def _with_parameters(entry: Mapping[str, Any], kind: Kind) -> Schema:
    parameters = _parameters(entry, kind)
    return {"properties": {"params": parameters}, "required": ["params"] if parameters["required"] else []}


def _parameters(entry: Mapping[str, Any], kind: Kind) -> Schema:
    known = {name: described for name, described in entry["parameters"].items() if name not in kind.reserved}
    required = [name for name, described in known.items() if "default" not in described and name not in kind.supplied]
    schema: Schema = {
        "type": "object" if required else ["object", "null"],
        "properties": {name: _parameter(described) for name, described in known.items()},
        "required": required,
    }
    return schema if entry["takes_any"] else schema | {"additionalProperties": False}


def _parameter(described: Mapping[str, Any]) -> Schema:
    schema: Schema = {"anyOf": [_of_type(described["type"]), _FROM_ENVIRONMENT]}
    if described["help"]:
        schema["description"] = described["help"]
    return schema | {"default": described["default"]} if "default" in described else schema


def _of_type(code: Any) -> Schema:
    """Return the schema of an encoded type (see ``type_codes``)."""
    if isinstance(code, str):
        return _SIMPLE[code]
    if "object" in code:
        return {"not": {}}
    if "one_of" in code:
        return {"enum": code["one_of"]}
    if "any_of" in code:
        return {"anyOf": [_of_type(item) for item in code["any_of"]]}
    if "type" in code:
        marked = code.get("part") or code.get("names_of")
        return {"$ref": f"#/$defs/{marked}"} if marked else _of_type(code["type"]) | _bounds(code)
    [(form, args)] = code.items()
    return _SIMPLE[form] | _inside(form, args)


def _bounds(code: Mapping[str, Any]) -> Schema:
    return {name: code[key] for key, name in _BOUNDS.items() if key in code}


def _inside(form: str, args: list[Any]) -> Schema:
    """Return what is allowed inside of a list or a mapping; a reference to the environment everywhere."""
    inner = [{"anyOf": [_of_type(arg), _FROM_ENVIRONMENT]} for arg in args if arg != "..."]
    if form in ("dict", "mapping"):
        return {"additionalProperties": inner[-1]}
    if form == "tuple" and "..." not in args:
        return {"prefixItems": inner, "minItems": len(inner), "maxItems": len(inner)}
    return {"items": inner[0]}


def _models_in(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the sections in a section, at any depth."""
    found: list[type[BaseModel]] = []
    for field in model.model_fields.values():
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                found += [candidate, *_models_in(candidate)]
    return found


def _attribute_help(model: type[BaseModel]) -> dict[str, str]:
    entries = docstring_parser.parse(model.__doc__ or "").params
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in entries}
