"""A spec's credentials, made ready to travel with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from ...client.login.travel import Luggage, Travelling, for_workers
from ...spec.model import Spec, StepSpec
from ..opening import Opened, Surroundings
from ..steps import Step

_log = logging.getLogger(__name__)


def with_credentials(
    spec: Spec, parts: Opened, around: Surroundings
) -> tuple[Spec, Mapping[str, str]]:
    """*spec* with credentials that workers can follow, and the variables that these name.

    Raises:
        AuthError: some cannot travel; says why.
    """
    environ, ready = Luggage(), dict[int, Travelling]()

    def with_own(step: StepSpec, opened: Step) -> StepSpec:
        adapter = opened.asker.adapter
        made = ready.get(id(adapter))
        if made is None:
            known = around.registry.get("adapters", step.endpoint.adapter).options
            options = known.get("properties", {}).items()
            made = ready[id(adapter)] = for_workers(
                step.endpoint,
                [name for name, one in options if one.get("x-kind") == "credential"],
                auth=getattr(adapter, "auth", None),
                sender=getattr(adapter, "transport", None),
                environ=around.environ,
                number=len(ready),
                clock=around.clock,
            )
            environ.update(made.environ)
        # Steps on one endpoint must stay equal in it: they share its limits.
        endpoint = replace(
            step.endpoint, options=made.endpoint.options, headers=made.endpoint.headers
        )
        return replace(step, endpoint=endpoint)

    def all_with_own(spec: Spec, parts: Opened) -> Spec:
        steps = [with_own(*pair) for pair in zip(spec.steps, parts.steps, strict=True)]
        scores = [
            replace(score, step=with_own(score.step, opened.judge))
            if score.step is not None and opened.judge is not None
            else score
            for score, opened in zip(spec.scores, parts.scores, strict=True)
        ]
        return replace(spec, steps=tuple(steps), scores=tuple(scores))

    variants = tuple(
        replace(variant, spec=all_with_own(variant.spec, opened))
        for variant, opened in zip(spec.variants, parts.variants, strict=True)
    )
    ready_spec = replace(spec, variants=variants) if variants else all_with_own(spec, parts)
    lifetimes = [made.lifetime for made in ready.values() if made.lifetime is not None]
    if lifetimes:
        _log.warning(
            "Spark's workers get a token that lives for %.0f minutes; a run that takes longer ends "
            "then, and the same command continues it; workers can renew the tokens of a service "
            "principal in DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET",
            min(lifetimes) / 60,
        )
    return ready_spec, environ
