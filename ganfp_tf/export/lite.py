"""Encoder and comparator as LiteRT (TFLite) models, for phones and small boards."""

import collections
import re
import warnings
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ganfp_tf.errors import UserError

INSTALL = (
    "pip install -r requirements-edge.txt brings ai-edge-litert, LiteRT's interpreter (of which "
    "this TensorFlow has none of its own)"
)
ARITHMETIC = ("float32", "int8", "int8 weights")
MIXED = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")


def in_float32(model: keras.Model) -> keras.Model:
    """The same network with all its arithmetic in float32: LiteRT has no bfloat16.

    A `.keras` file remembers the policy of each layer, whatever the process is set to.

    Args:
        model: a functional model.

    Returns:
        `model` itself if it is in float32 throughout, else a copy with the same weights.
    """
    serialized = keras.saving.serialize_keras_object(model)
    changed = _without_half(serialized)
    if changed == serialized:
        return model
    copy = keras.saving.deserialize_keras_object(changed)
    copy.set_weights(model.get_weights())
    return copy


def _without_half(item):
    if isinstance(item, dict):
        return {key: _without_half(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)(_without_half(value) for value in item)
    return "float32" if isinstance(item, str) and item in MIXED else item


def convert(
    model: keras.Model,
    output: str,
    arithmetic: str = "float32",
    samples: Callable[[], Iterable[dict[str, np.ndarray]]] | None = None,
) -> bytes:
    """Converts a network for one input at a time.

    The batch is fixed at 1: of unknown size, it would leave shapes in the graph to be computed on
    the device, which keeps XNNPACK from taking it over.

    Args:
        model: functional model in float32 of one input or of a dict of inputs.
        output: name that its output gets.
        arithmetic: "float32"; "int8", weights and activations, in ranges seen in `samples`, float
            if LiteRT has no such kernel; or "int8 weights": activations are stored as float32,
            and an operation that meets such weights rounds them to 8 bits in their own range
            ("dynamic range quantization"). Inputs and outputs stay float32.
        samples: () -> iterable of dicts, name of an input -> array (1, ...), for "int8".

    Returns:
        The file's bytes. Its one signature "serving_default" has the model's names of inputs.

    Raises:
        UserError: an operation has no LiteRT kernel; it is named.
    """
    if arithmetic not in ARITHMETIC:
        raise ValueError(f"arithmetic must be one of {ARITHMETIC}. Received: {arithmetic!r}")
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [_constant_graph(model, output)], tf.Module()
    )
    if arithmetic != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if arithmetic == "int8":
        converter.representative_dataset = samples
        kinds = tf.lite.OpsSet
        converter.target_spec.supported_ops = [kinds.TFLITE_BUILTINS_INT8, kinds.TFLITE_BUILTINS]
    try:
        with warnings.catch_warnings():
            # Calibration uses TensorFlow's own interpreter, which warns that it is to go.
            warnings.simplefilter("ignore", UserWarning)
            return converter.convert()
    except Exception as error:  # ConverterError is not public, and calibration raises others
        raise UserError(_why(model, error)) from error


def _constant_graph(model, output):
    """Graph of `model` with its weights as constants: LiteRT would look for variables in vain.

    They become so after tracing. Traced as constants, the standard deviations of `Standardize`
    would be folded into the weights behind them, which 8 bits then represent badly (correlation of
    EfficientNet-Lite0's tokens 0.91 instead of 0.97).
    """

    def call(**given):
        fed = given if isinstance(model.input, dict) else next(iter(given.values()))
        return {output: model(fed, training=False)}

    shapes = inputs_of(model).items()
    specs = {name: tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes}
    graph = tf.function(call, autograph=False).get_concrete_function(**specs)
    return convert_variables_to_constants_v2(graph)


def inputs_of(model: keras.Model) -> dict[str, tuple]:
    """Dict name of an input -> shape of one `(1, ...)`."""
    tensors = model.input.values() if isinstance(model.input, dict) else [model.input]
    return {tensor.name: (1, *tensor.shape[1:]) for tensor in tensors}


def _why(model, error):
    text = str(error)
    named = re.findall(r"'(tf\.\w+)' op is neither", text) or re.findall(r"'(tfl?\.\w+)' op", text)
    what = f"the {model.name} cannot be converted to LiteRT"
    if named:
        which = ", ".join(sorted(set(named)))
        return (
            f"{what}: LiteRT has no kernel for {which}. Train with another --backbone, or export "
            "with --export_format=savedmodel, which takes every operation."
        )
    first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return (
        f"{what}: {first.strip()[:300]}. --export_format=savedmodel takes every network; of the "
        "two LiteRT formats, the other may do."
    )


def interpreter_class() -> tuple[type | None, str]:
    """`(Interpreter, name of the package it is from)`, or `(None, "")` if there is none."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, "ai-edge-litert"
    except ImportError:
        interpreter = getattr(tf.lite, "Interpreter", None)  # TensorFlow is to drop it
        return (interpreter, "tensorflow") if interpreter else (None, "")


class LiteModel:
    """A converted model, run one input at a time.

    Args:
        content: the file's bytes.
        threads: how many it may use.

    Raises:
        UserError: there is no interpreter.
    """

    def __init__(self, content: bytes, threads: int = 1) -> None:
        interpreter, self.package = interpreter_class()
        if interpreter is None:
            raise UserError(f"a LiteRT model can only be run with an interpreter: {INSTALL}.")
        self._interpreter = interpreter(model_content=content, num_threads=threads)
        self._run = self._interpreter.get_signature_runner("serving_default")
        (self.output,) = self._run.get_output_details()

    def one(self, **inputs: np.ndarray) -> np.ndarray:
        """Arrays `(1, ...)` by name -> array `(1, ...)`."""
        return self._run(**inputs)[self.output]

    def __call__(
        self, progress: Callable[[], object] = lambda: None, **inputs: np.ndarray
    ) -> np.ndarray:
        """Arrays `(n, ...)` by name -> array `(n, ...)`; `progress()` is called after each."""
        answers = []
        for number in range(len(next(iter(inputs.values())))):
            part = {name: array[number : number + 1] for name, array in inputs.items()}
            answers.append(self.one(**part))
            progress()
        return np.concatenate(answers)

    def operations(self) -> dict[str, int]:
        """How many operations compute in which numbers: dict of "int8", "int8 weights", "float32".

        Conversions between the two are left out, and so is what a delegate (XNNPACK) takes over:
        its operations are counted as they are in the file.
        """
        types = {item["index"]: item["dtype"] for item in self._interpreter.get_tensor_details()}
        found = collections.Counter()
        # No public function lists operations; one of this name is in every release so far.
        for operation in self._interpreter._get_ops_details():
            if operation["op_name"] in ("DELEGATE", "QUANTIZE", "DEQUANTIZE"):
                continue
            out = {types.get(index) for index in operation["outputs"]}
            given = {types.get(index) for index in operation["inputs"]}
            if np.int8 in out:
                found["int8"] += 1
            else:
                found["int8 weights" if np.int8 in given else "float32"] += 1
        return {kind: found[kind] for kind in ("int8", "int8 weights", "float32")}
