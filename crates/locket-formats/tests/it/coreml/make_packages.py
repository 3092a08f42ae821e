"""Writes packages with coremltools into the folder that is given: one for each feature of the format."""

import contextlib
import io
import logging
import os
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
with contextlib.redirect_stderr(io.StringIO()):
    import coremltools as ct
    import numpy as np
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil import types
    from coremltools.converters.mil.mil.program import Function, Placeholder, Program, Symbol
    import coremltools.optimize as cto

folder = sys.argv[1]
random = np.random.RandomState(7)


def weights(*shape):
    return (random.rand(*shape) - 0.5).astype(np.float32)


def save(name, model):
    model.save(os.path.join(folder, name + ".mlpackage"))


def convert(program, target, **options):
    options.setdefault("compute_precision", ct.precision.FLOAT32)
    return ct.convert(
        program, convert_to="mlprogram", minimum_deployment_target=target, skip_model_load=True, **options
    )


def network(x):
    x = mb.conv(x=x, weight=weights(16, 3, 3, 3), strides=[2, 2], pad_type="same", name="first")
    x = mb.relu(x=x)
    x = mb.conv(x=x, weight=weights(16, 1, 3, 3), groups=16, pad_type="custom", pad=[1, 1, 1, 1])
    x = mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
    x = mb.reshape(x=x, shape=[1, -1])
    x = mb.linear(x=x, weight=weights(32, 16 * 4 * 4), bias=weights(32))
    x = mb.layer_norm(x=x, axes=[-1], gamma=weights(32), beta=weights(32))
    return mb.softmax(x=x, name="probabilities")


def network_program(target):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, 16, 16))], opset_version=target)
    def program(x):
        return network(x)

    return program


save("plain", convert(network_program(ct.target.iOS15), ct.target.iOS15))
save("half", convert(network_program(ct.target.iOS16), ct.target.iOS16, compute_precision=ct.precision.FLOAT16))


@mb.program(input_specs=[mb.TensorSpec(shape=(1, 16), dtype=types.fp16)], opset_version=ct.target.iOS16)
def half_interface(x):
    return mb.linear(x=x, weight=weights(4, 16).astype(np.float16), name="y")


save(
    "half_interface",
    convert(
        half_interface,
        ct.target.iOS16,
        compute_precision=ct.precision.FLOAT16,
        inputs=[ct.TensorType(name="x", shape=(1, 16), dtype=np.float16)],
        outputs=[ct.TensorType(name="y", dtype=np.float16)],
    ),
)
save(
    "image",
    convert(
        network_program(ct.target.iOS15),
        ct.target.iOS15,
        inputs=[ct.ImageType(name="x", shape=(1, 3, 16, 16), scale=1 / 255)],
    ),
)
save(
    "classifier",
    convert(
        network_program(ct.target.iOS15),
        ct.target.iOS15,
        classifier_config=ct.ClassifierConfig([f"class {i}" for i in range(32)]),
    ),
)

# Compression by coremltools itself.
coreml = cto.coreml


def compressed(name, target, function, config):
    model = convert(network_program(target), target)
    save(name, function(model, coreml.OptimizationConfig(global_config=config)))


linear = coreml.OpLinearQuantizerConfig
compressed("int8", ct.target.iOS16, coreml.linear_quantize_weights, linear(weight_threshold=64))
compressed(
    "int4_blocks",
    ct.target.iOS18,
    coreml.linear_quantize_weights,
    linear(dtype="int4", granularity="per_block", block_size=8, weight_threshold=64),
)
palette = coreml.OpPalettizerConfig
compressed("palette4", ct.target.iOS16, coreml.palettize_weights, palette(mode="uniform", nbits=4, weight_threshold=64))
compressed(
    "palette3_groups",
    ct.target.iOS18,
    coreml.palettize_weights,
    palette(mode="uniform", nbits=3, granularity="per_grouped_channel", group_size=8, weight_threshold=64),
)
prune = coreml.OpMagnitudePrunerConfig
compressed("sparse", ct.target.iOS16, coreml.prune_weights, prune(target_sparsity=0.6, weight_threshold=64))
compressed("sparse18", ct.target.iOS18, coreml.prune_weights, prune(target_sparsity=0.6, weight_threshold=64))
pruned = coreml.prune_weights(
    convert(network_program(ct.target.iOS18), ct.target.iOS18),
    coreml.OptimizationConfig(global_config=prune(target_sparsity=0.6, weight_threshold=64)),
)
save(
    "sparse_palette",
    coreml.palettize_weights(
        pruned,
        coreml.OptimizationConfig(global_config=palette(mode="uniform", nbits=4, weight_threshold=64)),
        joint_compression=True,
    ),
)
save(
    "sparse_int8",
    coreml.linear_quantize_weights(
        pruned, coreml.OptimizationConfig(global_config=linear(weight_threshold=64)), joint_compression=True
    ),
)


@mb.program(input_specs=[mb.TensorSpec(shape=(1, 8))], opset_version=ct.target.iOS17)
def quantized(x):
    q = mb.quantize(input=x, zero_point=np.uint8(10), scale=np.float32(0.1), output_dtype="uint8")
    x = mb.dequantize(input=q, zero_point=np.uint8(10), scale=np.float32(0.1))
    return mb.linear(x=x, weight=weights(4, 8), name="y")


save("quantized", convert(quantized, ct.target.iOS17))


@mb.program(
    input_specs=[mb.TensorSpec(shape=(1, 5, 6)), mb.TensorSpec(shape=(1, 4)), mb.TensorSpec(shape=(1, 4))]
)
def recurrent(x, h, c):
    sequence = mb.transpose(x=x, perm=[1, 0, 2])
    return mb.lstm(
        x=sequence, initial_h=h, initial_c=c, weight_ih=weights(16, 6), weight_hh=weights(16, 4), bias=weights(16)
    )


save("recurrent", convert(recurrent, ct.target.iOS15))


@mb.program(input_specs=[mb.TensorSpec(shape=(1, 4, 6)), mb.TensorSpec(shape=(1, 4, 6))])
def several(x, y):
    z = mb.concat(values=[x, y], axis=-1)
    a, b = mb.split(x=z, num_splits=2, axis=-1)
    picked = mb.gather(x=a, indices=np.array([2, 0], dtype=np.int32), axis=1)
    values, indices = mb.topk(x=b, k=2, axis=-1)
    part = mb.slice_by_index(x=z, begin=[0, 1, 0], end=[0, 0, 4], begin_mask=[True, False, True], end_mask=[True, True, False])
    larger = mb.greater(x=mb.reduce_mean(x=part, axes=[-1], keep_dims=True), y=0.5)
    return picked, values, mb.cast(x=indices, dtype="fp32"), mb.select(cond=larger, a=part, b=mb.exp(x=part))


save("several", convert(several, ct.target.iOS15))


def flexible_program(size):
    @mb.program(input_specs=[mb.TensorSpec(shape=(size, 8))])
    def flexible(x):
        x = mb.linear(x=x, weight=weights(8, 8))
        return mb.relu(x=x, name="y")

    return flexible


save(
    "flexible",
    convert(
        flexible_program(ct.converters.mil.mil.get_new_symbol()),
        ct.target.iOS15,
        inputs=[ct.TensorType(name="x", shape=(ct.RangeDim(1, 16, 3), 8))],
    ),
)


@mb.program(input_specs=[mb.TensorSpec(shape=(1,), dtype=types.fp32)])
def branches(x):
    def larger():
        return mb.mul(x=x, y=2.0)

    def smaller():
        return mb.add(x=x, y=1.0)

    return mb.cond(pred=mb.squeeze(x=mb.greater(x=x, y=0.0)), _true_fn=larger, _false_fn=smaller, name="y")


save("branches", convert(branches, ct.target.iOS15))


@mb.program(
    input_specs=[mb.TensorSpec(shape=(1,)), mb.StateTensorSpec(shape=(1,), dtype=types.fp16)],
    opset_version=ct.target.iOS18,
)
def stateful(x, memory):
    old = mb.read_state(input=memory)
    new = mb.add(x=mb.cast(x=x, dtype="fp16"), y=old)
    return mb.identity(x=mb.coreml_update_state(state=memory, value=new), name="y")


save("stateful", convert(stateful, ct.target.iOS18, compute_precision=ct.precision.FLOAT16))

functions = ct.utils.MultiFunctionDescriptor()
functions.add_function(os.path.join(folder, "plain.mlpackage"), "main", "one")
functions.add_function(os.path.join(folder, "int8.mlpackage"), "main", "two")
functions.default_function_name = "two"
ct.utils.save_multifunction(functions, os.path.join(folder, "functions.mlpackage"))
