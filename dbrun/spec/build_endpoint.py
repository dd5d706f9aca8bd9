"""Endpoints: the adapter's name and options, what is common to all adapters, and limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from ..registry import Registry
from ..types import Mark
from . import hints
from .model import Concurrency, EndpointSpec, Limits, Price
from .nodes import Node, Path, dotted, entries, plain
from .site import Site, value_of

_COMMON: Final = (
    "adapter",
    "headers",
    "verify",
    "send_stop",
    "identity",
    "price",
    "limits",
)
_WHOLE: Final = ("attempts", "window", "processes")


class Endpoints:
    """The endpoints of a spec: its own, and those that steps name."""

    def __init__(self, site: Site, root: Node, registry: Registry, limits: Limits) -> None:
        self._site = site
        self._root = root
        self._registry = registry
        self._limits = replace(limits, max_cost=None)  # which holds for the run as a whole
        self._named = entries(root.get("endpoints"))
        for name, node in self._named.items():
            self._checked(node, ("endpoints", name))

    def of(self, step: Node, path: Path) -> EndpointSpec | None:
        """The endpoint of *step*, which is written at *path*; None if a problem was noted."""
        own, at = step.get("endpoint"), (*path, "endpoint")
        if own is None:
            own, at = self._root.get("endpoint"), ("endpoint",)
        if own is None:
            hint = "write {adapter: databricks, name: …} or another adapter"
            self._site.findings.add(step.place, path, "'endpoint' is missing", hint)
            return None
        if isinstance(own.value, str):
            return self._by_name(own, at)
        return self._checked(own, at)

    def _by_name(self, node: Node, path: Path) -> EndpointSpec | None:
        if self._site.sound(path, node) is None:
            return None
        name = node.value
        if name not in self._named:
            hint = hints.for_name(name, self._named, none="declare it under endpoints")
            if self._registry.knows("adapters", name):
                hint = f"an adapter is written {{adapter: {name}, …}}"
            self._site.findings.add(node.place, path, f"there is no endpoint '{name}'", hint)
            return None
        return self._checked(self._named[name], ("endpoints", name))

    def _checked(self, node: Node, path: Path) -> EndpointSpec | None:
        adapter = node.get("adapter")
        if adapter is None or not isinstance(adapter.value, str):
            return None
        if not self._registry.knows("adapters", adapter.value):
            hint = hints.for_name(adapter.value, self._registry.names("adapters"))
            message = f"there is no adapter '{adapter.value}'"
            self._site.findings.add(adapter.place, (*path, "adapter"), message, hint)
        if self._site.sound(path, node) is None:
            return None
        return self._build(node, path)

    def _build(self, node: Node, path: Path) -> EndpointSpec:
        schemas = self._site.schemas
        rules = schemas.inside([schemas.top], "endpoint")
        verify = node.get("verify")
        price = node.get("price")
        limits = node.get("limits")
        return EndpointSpec(
            adapter=plain(node)["adapter"],
            options=self._site.options(node, rules, path, _COMMON),
            headers=value_of(node.get("headers"), {}),
            verify=_verify(self._site, verify),
            send_stop=value_of(node.get("send_stop"), True),
            identity=value_of(node.get("identity")),
            price=Price(**plain(price)) if price is not None else None,
            limits=self._own_limits((*path, "limits"), limits),
            where=node.place.mark,
            marks=_marks(node),
            path=dotted(path),
        )

    def _own_limits(self, path: Path, node: Node | None) -> Limits:
        made = build_limits(self._site, path, node, self._limits)
        if made.max_cost is not None and node is not None:
            cap = node.get("max_cost")
            assert cap is not None
            message = "spend is capped for the whole run, not for one endpoint"
            hint = "write max_cost under the spec's own limits"
            self._site.findings.add(cap.place, (*path, "max_cost"), message, hint)
        return made


def _marks(node: Node) -> dict[str, Mark]:
    """The places of the options, and those of the headers as `headers.NAME`."""
    headers = entries(node.get("headers"))
    return {
        **{key: child.place.mark for key, child in entries(node).items()},
        **{f"headers.{key}": child.place.mark for key, child in headers.items()},
    }


def _verify(site: Site, node: Node | None) -> bool | str:
    if node is None:
        return True
    return site.path(node) if isinstance(node.value, str) else bool(node.value)


def build_limits(site: Site, path: Path, node: Node | None, base: Limits | None = None) -> Limits:
    """The limits at *path* over those of *base*, key by key."""
    base = base or Limits()
    given: dict[str, Any] = {}
    for key, child in entries(node).items():
        if site.sound((*path, key), child) is None:
            continue
        if key == "concurrency":
            given[key] = _concurrency(site, (*path, key), child)
        else:
            given[key] = int(child.value) if key in _WHOLE else float(child.value)
    return replace(base, **given)


def _concurrency(site: Site, path: Path, node: Node) -> Concurrency | None:
    if isinstance(node.value, str):
        return None  # auto: the adapter's own
    if not isinstance(node.value, dict):
        return Concurrency.fixed(int(node.value))
    given = {key: int(value) for key, value in plain(node).items()}
    usual = Concurrency()
    low = given.get("min", min(usual.low, *given.values()) if given else usual.low)
    high = given.get("max", max(usual.high, *given.values()) if given else usual.high)
    start = given.get("start", min(max(usual.start, low), high))
    if not low <= start <= high:
        message = f"wants min ≤ start ≤ max, found min {low}, start {start}, max {high}"
        site.findings.add(node.place, path, message)
    return Concurrency(start=start, low=low, high=high)
