"""Prints, as JSON, the dense values of every constexpr operation of a package as coremltools computes them.

Also says, under `compact`, whether the model file has as many bytes as protobuf's own writer gives its messages.
"""

import contextlib
import inspect
import io
import json
import logging
import os
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
with contextlib.redirect_stderr(io.StringIO()):
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto.load import load

model = ct.models.MLModel(sys.argv[1], skip_model_load=True)
spec = model.get_spec()
program = load(spec, spec.specificationVersion, os.path.join(sys.argv[1], "Data/com.apple.CoreML/weights"))
known = {}
printed = {}
with open(os.path.join(sys.argv[1], "Data/com.apple.CoreML/model.mlmodel"), "rb") as file:
    printed["compact"] = len(file.read()) == spec.ByteSize()
for operation in program.functions["main"].operations:
    if not operation.op_type.startswith("constexpr_"):
        continue
    if hasattr(operation, "decompress"):
        inputs = [operation.inputs.get(name) for name in inspect.signature(operation.decompress).parameters]
        values = operation.decompress(*[
            None if value is None else (known[value] if value.val is None else value.val) for value in inputs
        ])
    else:
        values = operation.materialized_val_inference()
    values = values if isinstance(values, tuple) else (values,)
    for value, output in zip(values, operation.outputs):
        known[output] = value
        printed[output.name] = [float(x) for x in value.reshape(-1)]
print(json.dumps(printed))
