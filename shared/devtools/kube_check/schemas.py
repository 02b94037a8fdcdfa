"""Manifests against schemas: Kubernetes' own and the operators' CRDs alike; unknown fields are refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from shared.devtools.kube_check.render import Yaml, name_of

VERSION = "1.37"
# libyaml where it is built in: the CRDs are two megabytes
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEXT: Yaml = {"type": "string"}
COUNT: Yaml = {"type": "integer", "minimum": 1}
STEP: Yaml = {"type": "object", "additionalProperties": False}
# As far as the manifests use it, by Envoy Gateway's reference of v1.4: its CRD is in no folder that we are given.
OWN: dict[tuple[str, str], Yaml] = {
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"): {
        **STEP,
        "required": ["spec"],
        "properties": {
            "spec": {
                **STEP,
                "properties": {
                    "telemetry": {
                        **STEP,
                        "properties": {
                            "accessLog": {
                                **STEP,
                                "properties": {
                                    "settings": {
                                        "type": "array",
                                        "items": {
                                            **STEP,
                                            "properties": {
                                                "format": {
                                                    **STEP,
                                                    "required": ["type", "json"],
                                                    "properties": {
                                                        "type": {"const": "JSON"},
                                                        "json": {"additionalProperties": {"type": "string"}},
                                                    },
                                                },
                                                "sinks": {
                                                    "type": "array",
                                                    "items": {
                                                        **STEP,
                                                        "required": ["type", "file"],
                                                        "properties": {
                                                            "type": {"const": "File"},
                                                            "file": {
                                                                **STEP,
                                                                "properties": {"path": {"type": "string"}},
                                                            },
                                                        },
                                                    },
                                                },
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    }
                },
            }
        },
    }
}
_SECRET: Yaml = {**STEP, "required": ["name", "key"], "properties": {"name": TEXT, "key": TEXT}}
_PACKED: Yaml = {"compression": {"enum": ["bzip2", "gzip", "lz4", "snappy", "xz", "zstd"]}, "maxParallel": COUNT}
# By the Barman Cloud plugin's reference of 0.11.
OWN["barmancloud.cnpg.io/v1", "ObjectStore"] = {
    **STEP,
    "required": ["spec"],
    "properties": {
        "spec": {
            **STEP,
            "required": ["configuration"],
            "properties": {
                "retentionPolicy": {"type": "string", "pattern": "^[1-9][0-9]*[dwm]$"},
                "configuration": {
                    **STEP,
                    "required": ["destinationPath"],
                    "properties": {
                        "destinationPath": {"type": "string", "minLength": 1},
                        "endpointURL": TEXT,
                        "s3Credentials": {
                            **STEP,
                            "properties": {"accessKeyId": _SECRET, "secretAccessKey": _SECRET, "region": _SECRET},
                        },
                        "wal": {**STEP, "properties": _PACKED},
                        "data": {**STEP, "properties": {"compression": _PACKED["compression"], "jobs": COUNT}},
                    },
                },
            },
        }
    },
}
OPEN = {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"}


def read_crds(folder: Path) -> dict[tuple[str, str], Yaml]:
    """Schemas by apiVersion and kind; empty where the folder isn't there."""
    found: dict[tuple[str, str], Yaml] = {}
    for file in sorted(folder.glob("*.yaml")):
        for one in yaml.load_all(file.read_text(encoding="utf-8"), Loader=LOADER):
            if not one or one.get("kind") != "CustomResourceDefinition":
                continue
            spec = one["spec"]
            for version in spec["versions"]:
                schema = version.get("schema", {}).get("openAPIV3Schema")
                if schema is not None and version.get("served", True):
                    found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = strict(schema)
    return found


def strict(schema: Any) -> Any:
    """A CRD's schema as JSON Schema: unknown fields fail instead of being dropped silently."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made: Yaml = {}
    for key, value in schema.items():
        named = key in ("properties", "patternProperties")
        made[key] = {name: strict(part) for name, part in value.items()} if named else strict(value)
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    closed = "properties" in made and "additionalProperties" not in made
    if closed and not any(schema.get(word) for word in OPEN):
        made["additionalProperties"] = False
    return made


def whole(schema: Yaml) -> Yaml:
    """The schema of an object: every one has these three besides what its CRD says."""
    general: Yaml = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {**schema, "properties": {**schema.get("properties", {}), **general}}


def check(objects: Sequence[Yaml], crds: dict[tuple[str, str], Yaml]) -> tuple[list[str], list[str]]:
    """Findings, and kinds that no schema is there for."""
    findings: list[str] = []
    unknown: set[str] = set()
    for one in objects:
        kind = (one["apiVersion"], one["kind"])
        if (schema := crds.get(kind, OWN.get(kind))) is not None:
            errors = Draft202012Validator(whole(schema)).iter_errors(one)
            findings += [f"{name_of(one)}: {_words(error)}" for error in errors]
            continue
        try:
            kubernetes_validate.validate(one, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            findings.append(f"{name_of(one)}: {'.'.join(map(str, error.path))}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(f"{kind[0]} {kind[1]}")
    return findings, sorted(unknown)


def _words(error: Any) -> str:
    inner = best_match(error.context) if error.context else error
    return f"{'.'.join(map(str, error.absolute_path))}: {inner.message}"
