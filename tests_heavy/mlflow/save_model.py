"""Save a model with the signature that LangChain's `Databricks` class asked for, and no weights.

`python save_model.py FOLDER`. The model says a prompt in capitals and ends before the first of
its stop strings, unless the prompt holds `deaf`; a prompt that holds `bad` makes it raise.
"""

from __future__ import annotations

import sys
from typing import Any

import mlflow.pyfunc
from mlflow.models import ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Schema


class Capitals(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:
        return [self._answer(row) for _, row in model_input.iterrows()]

    def _answer(self, row: Any) -> str:
        prompt = str(row["prompt"])
        if "bad" in prompt:
            raise ValueError(f"this model does not take {prompt!r}")
        said = prompt.upper()
        stops = row.get("stop")
        if isinstance(stops, (str, float, type(None))) or "deaf" in prompt:
            return said
        found = [said.find(stop.upper()) for stop in stops]
        return said[: min([at for at in found if at >= 0], default=len(said))]


SIGNATURE = ModelSignature(
    inputs=Schema(
        [ColSpec("string", "prompt"), ColSpec(Array(DataType.string), "stop", required=False)]
    ),
    outputs=Schema([ColSpec("string")]),
)

if __name__ == "__main__":
    mlflow.pyfunc.save_model(sys.argv[1], python_model=Capitals(), signature=SIGNATURE)
