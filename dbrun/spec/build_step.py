"""Steps: prompts and all that goes with them. A spec with one prompt is a pipeline of one step."""

from __future__ import annotations

from ..types import Mark
from .build_endpoint import Endpoints
from .build_prompt import build_prompt, has_prompt
from .build_schema import build_response_schema
from .model import EndpointSpec, StepSpec
from .nodes import Node, Path, dotted, item_part, plain
from .prompts import Prompt
from .site import Site, value_of

ONLY_STEP = "main"
"""The name of the one step of a spec that has a prompt of its own."""

_OF_STEPS = ("stop", "params", "response_schema")


def build_steps(site: Site, root: Node, endpoints: Endpoints) -> tuple[StepSpec, ...]:
    """The steps of the pipeline; those with problems are left out."""
    steps = root.get("steps")
    if steps is None:
        step = _step(site, root, (), ONLY_STEP, endpoints)
        return (step,) if step is not None else ()
    _refuse_keys_of_steps(site, root)
    if not isinstance(steps.value, list):
        return ()
    built: list[StepSpec] = []
    names: set[str] = set()
    for index, node in enumerate(steps.value):
        path: Path = ("steps", item_part(node, index))
        name = node.get("name")
        if name is None or not isinstance(name.value, str):
            continue
        if name.value in names:
            message = f"there are two steps named '{name.value}'"
            site.findings.add(name.place, (*path, "name"), message, "rename one")
        names.add(name.value)
        step = _step(site, node, path, name.value, endpoints)
        built += [step] if step is not None else []
    return tuple(built)


def _refuse_keys_of_steps(site: Site, root: Node) -> None:
    transforms = root.get("transforms")
    hooks = [(transforms, ("transforms", key), key) for key in ("input", "output")]
    for owner, path, key in [*((root, (key,), key) for key in _OF_STEPS), *hooks]:
        node = owner.get(key) if owner is not None else None
        if node is not None:
            site.findings.add(node.key_place, path, "belongs to a step", "move it into the steps")


def _step(site: Site, node: Node, path: Path, name: str, endpoints: Endpoints) -> StepSpec | None:
    endpoint = endpoints.of(node, path)
    prompt = _prompt(site, node, path, endpoint)
    schema = _sound(site, node, path, "response_schema")
    response_schema = (
        build_response_schema(site, schema, (*path, "response_schema")) if schema else None
    )
    stop, when = _sound(site, node, path, "stop"), _sound(site, node, path, "when")
    params = _sound(site, node, path, "params")
    if endpoint is None or prompt is None:
        return None
    hooks = _sound(site, node, path, "transforms")
    inputs, outputs = (hooks.get(key) if hooks else None for key in ("input", "output"))
    return StepSpec(
        name=name,
        endpoint=endpoint,
        prompt=prompt,
        stop=_stop(stop),
        params=value_of(params, {}),
        response_schema=response_schema,
        input=site.references(inputs, (*path, "transforms", "input")),
        output=site.references(outputs, (*path, "transforms", "output")),
        when=site.text(when, (*path, "when")) if when is not None else None,
        path=dotted(path),
        where=node.place.mark,
        places=_places(node, params),
    )


def _places(step: Node, params: Node | None) -> dict[str, Mark]:
    """Where in the file each field of a request comes from."""
    named = {name: step.get(name) for name in ("prompt", "messages", "stop", "response_schema")}
    if params is not None and isinstance(params.value, dict):
        named.update(params.value)
    return {name: node.key_place.mark for name, node in named.items() if node is not None}


def _sound(site: Site, node: Node, path: Path, key: str) -> Node | None:
    return site.sound((*path, key), node.get(key))


def _stop(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    return (node.value,) if isinstance(node.value, str) else tuple(plain(node))


def _prompt(site: Site, node: Node, path: Path, endpoint: EndpointSpec | None) -> Prompt | None:
    if has_prompt(node):
        return build_prompt(site, node, path)
    if endpoint is None or endpoint.adapter == "http" or endpoint.options.get("columns"):
        return Prompt()
    hint = "write prompt or messages" + ("" if path else ", or steps")
    site.findings.add(node.place, path, "there is no prompt", hint)
    return None
