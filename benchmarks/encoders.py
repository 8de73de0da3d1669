"""Images per second through each encoder, beside the same network in torch on the same cores.

    pip install -r requirements.txt -r requirements-parity.txt
    python benchmarks/encoders.py [--size=224] [--batch=16] [--rounds=5]
        [--threads=2] [--backbones=resnet50,vit_b16] [--no-xla]

Weights are random: they do not decide the speed. Ours is the call that fills the embedding store
(`models.siamese.compiled`), pixel scaling included; theirs is timm's `forward_features` in
inference mode, in torch's own memory layout and in channels_last. XLA is shown for what it would
be worth. Each round runs one batch through every call in turn, so that a busy machine slows all
calls; the figures are medians over the rounds. Not all alike, though: torch deals its work out in
equal parts and waits for the last, so that beside another busy process its two threads are slower
than one. The cores that each call kept busy tell whether it had them. Where they are fewer than the
threads, measure again with --threads=1 and read the ratio by CPU time, which no other process
changes much; with more threads CPU time counts torch's waiting too.
"""

import argparse
import os
import pathlib
import sys
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np

# Before TensorFlow: timm brings in triton where it is installed (with torch built for GPUs), which
# crashes when it is loaded after TensorFlow.
import timm
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

# isort: split
import tensorflow as tf

from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.siamese import compiled
from ganfp_tf.reports.render.tables import text_table

IN_TIMM = {
    "resnet50": "resnet50",
    "efficientnetb2": "efficientnet_b2",
    "densenet161": "densenet161",
    "vit_b16": "vit_base_patch16_224",
}
BURN_IN = 2
# Keras's ResNet50 halves the image in a block's first convolution, torch's in the second: 5.7 %
# fewer FLOPs, which the last column takes into account.
SAME_FLOPS = 0.06
# Kind of matrix product -> its attribute that says whether the first factor is transposed.
TRANSPOSED = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x"}


def tensorflow_calls(name, pixels, xla):
    """({title: () -> features}, FLOPs of one batch, parameters) of our encoder."""
    model, _ = build_backbone(name, image_size=pixels.shape[1], weights="none")
    encode = compiled(model)
    batch = tf.constant(pixels)
    calls = {"tensorflow": lambda: encode(batch)}
    signature = [tf.TensorSpec(pixels.shape, tf.float32)]
    graph = tf.function(lambda x: model(x, training=False), input_signature=signature)
    if xla:
        fused = tf.function(
            lambda x: model(x, training=False), input_signature=signature, jit_compile=True
        )
        calls["tensorflow XLA"] = lambda: fused(batch).numpy()
    return calls, graph_flops(graph.get_concrete_function().graph), model.count_params()


def torch_calls(name, pixels):
    """({title: () -> features}, FLOPs of one batch, parameters) of timm's network."""
    options = {"img_size": pixels.shape[1]} if name == "vit_b16" else {}
    model = timm.create_model(IN_TIMM[name], pretrained=False, num_classes=0, **options).eval()
    batch = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    last = torch.channels_last
    other = timm.create_model(IN_TIMM[name], pretrained=False, num_classes=0, **options).eval()
    other.load_state_dict(model.state_dict())
    other, batch_last = other.to(memory_format=last), batch.to(memory_format=last)

    def call(network, images):
        with torch.inference_mode():
            return network.forward_features(images).numpy()

    calls = {
        "torch": lambda: call(model, batch),
        "torch channels_last": lambda: call(other, batch_last),
    }
    buffers = (b for key, b in model.named_buffers() if not key.endswith("num_batches_tracked"))
    parameters = sum(t.numel() for t in [*model.parameters(), *buffers])
    return calls, torch_flops(model, batch), parameters


def torch_flops(model, batch):
    """What `graph_flops` counts, of timm's network."""
    counter = FlopCounterMode(display=False)
    # Plain attention, because the fused kernel is not counted.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        model.forward_features(batch)
    return counter.get_total_flops()


def graph_flops(graph):
    """Twice the multiply-adds of a graph's convolutions, matrix products and einsums."""
    total = 0
    for operation in graph.get_operations():
        shapes = [tensor.shape.as_list() for tensor in operation.inputs]
        output = operation.outputs[0].shape.as_list() if operation.outputs else []
        if operation.type == "Conv2D":
            total += 2 * np.prod(output) * np.prod(shapes[1][:3])  # kernel: h, w, in / groups, out
        elif operation.type == "DepthwiseConv2dNative":
            total += 2 * np.prod(output) * np.prod(shapes[1][:2])
        elif operation.type in TRANSPOSED:
            transposed = operation.get_attr(TRANSPOSED[operation.type])
            total += 2 * np.prod(output) * shapes[0][-2 if transposed else -1]
        elif operation.type == "Einsum":
            terms = operation.get_attr("equation").decode().split("->")[0].split(",")
            sizes = {}
            for term, shape in zip(terms, shapes, strict=True):
                sizes |= zip(term, shape, strict=True)
            total += 2 * np.prod(list(sizes.values()))
    return int(total)


def measure(calls, rounds):
    """{title: (seconds of one call, CPU seconds of it)}, medians; the calls take turns."""
    for call in calls.values():
        for _ in range(BURN_IN):
            call()
    taken = {title: [] for title in calls}
    for _ in range(rounds):
        for title, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            taken[title].append((wall, cpu))
    return {title: np.median(values, axis=0) for title, values in taken.items()}


def main():
    """Reads the flags, measures, prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--backbones", default=",".join(IN_TIMM))
    parser.add_argument("--no-xla", action="store_true")
    flags = parser.parse_args()

    torch.set_num_threads(flags.threads)
    tf.config.threading.set_intra_op_parallelism_threads(flags.threads)
    warnings.simplefilter("ignore")
    shape = (flags.batch, flags.size, flags.size, 3)
    pixels = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    print(
        f"TensorFlow {tf.__version__}, torch {torch.__version__}, timm {timm.__version__}; "
        f"{flags.threads} threads, load {os.getloadavg()[0]:.1f}; {flags.batch} images of "
        f"{flags.size} x {flags.size}, {flags.rounds} rounds; images per second (cores kept busy)",
        flush=True,
    )
    rows, titles = [], []
    for name in flags.backbones.split(","):
        ours, flops, parameters = tensorflow_calls(name, pixels, not flags.no_xla)
        theirs, expected, their_parameters = torch_calls(name, pixels)
        if abs(flops / expected - 1) > SAME_FLOPS:
            raise SystemExit(f"{name}: {flops / 1e9:.1f} GFLOP, in torch {expected / 1e9:.1f}")
        taken = measure(ours | theirs, flags.rounds)
        ratio, ratio_cpu = np.min([taken[title] for title in theirs], axis=0) / taken["tensorflow"]
        titles = list(taken)
        rows.append(
            [
                name,
                f"{flops / flags.batch / 1e9:.2f} / {expected / flags.batch / 1e9:.2f}",
                f"{parameters / 1e6:.2f} / {their_parameters / 1e6:.2f}",
                *(f"{flags.batch / wall:.1f} ({cpu / wall:.1f})" for wall, cpu in taken.values()),
                f"{ratio:.2f}",
                f"{ratio * flops / expected:.2f}",
                f"{ratio_cpu:.2f}",
            ]
        )
        print("  ".join(rows[-1]), flush=True)
    headers = ["backbone", "GFLOP an image", "million weights", *titles]
    print(text_table([*headers, "tensorflow / best torch", "at equal FLOPs", "by CPU time"], rows))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
