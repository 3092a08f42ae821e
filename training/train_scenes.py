"""Trains the bundled scene classifier and writes it as ONNX.

The data come from the generator in crates/locket-scenes (see README.md in this folder for the commands). Nothing
here is needed to build, test or run Locket: the trained file is committed in models/.

The network is a small MobileNetV2: inverted residual blocks with linear bottlenecks (Sandler et al. 2018), batch
normalisation, ReLU6, global average pooling, one fully connected layer. The exported graph ends in a softmax and
keeps its BatchNormalization nodes, so that folding them is left to whoever runs it.
"""

import argparse
import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# Output channels, expansion, stride of each inverted residual block, from 32x32 down to 4x4.
BLOCKS = [
    (16, 1, 1),
    (24, 4, 2),
    (24, 4, 1),
    (40, 4, 2),
    (40, 4, 1),
    (64, 4, 1),
    (64, 4, 1),
    (96, 4, 2),
    (96, 3, 1),
]
STEM_CHANNELS = 16
HEAD_CHANNELS = 256
MEAN = SCALE = 127.5


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias and its batch normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class InvertedResidual(nn.Module):
    """Widens with a 1x1, filters each channel, narrows with a 1x1; adds the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [conv_norm(inputs, hidden, 1), nn.ReLU6()]
        layers += [conv_norm(hidden, hidden, 3, stride, groups=hidden), nn.ReLU6(), conv_norm(hidden, outputs, 1)]
        self.body = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class SceneNet(nn.Module):
    """[N, 3, 64, 64] pixels in -1..1 to [N, classes] logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_norm(3, STEM_CHANNELS, 3, 2), nn.ReLU6()]
        channels = STEM_CHANNELS
        for outputs, expansion, stride in BLOCKS:
            layers.append(InvertedResidual(channels, outputs, expansion, stride))
            channels = outputs
        layers += [conv_norm(channels, HEAD_CHANNELS, 1), nn.ReLU6()]
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.1)
        self.classify = nn.Linear(HEAD_CHANNELS, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1)
        return self.classify(self.drop(pooled))


class WithSoftmax(nn.Module):
    """The network as it is exported: logits to probabilities."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.softmax(self.net(image), dim=1)


def load(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [n, 64, 64, 3] and labels int64 [n] of one split."""
    return np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy").astype(np.int64)


def to_input(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [n, h, w, 3] to float [n, 3, h, w] in -1..1; memory stays channels-last, which CPUs like."""
    return (torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() - MEAN) / SCALE


def augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Flips half of the pictures and moves and scales all of them a little."""
    count = x.shape[0]
    uniform = torch.rand(count, 4, generator=generator)
    flip = torch.where(uniform[:, 0] < 0.5, -1.0, 1.0)
    zoom = 0.88 + 0.2 * uniform[:, 1]
    shift = (uniform[:, 2:] - 0.5) * 0.2
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = flip * zoom
    matrix[:, 1, 1] = zoom
    matrix[:, :, 2] = shift
    grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
    moved = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict(net: nn.Module, pictures: np.ndarray) -> np.ndarray:
    """Logits for all pictures, in evaluation mode."""
    net.eval()
    parts = [net(to_input(pictures[start : start + 500])).numpy() for start in range(0, len(pictures), 500)]
    return np.concatenate(parts)


def train(args: argparse.Namespace) -> tuple[nn.Module, float]:
    """Trains from scratch and returns the network and the minutes it took."""
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    x, y = load(args.data / "train")
    x_check, y_check = load(args.data / "validation")
    classes = (args.data / "train" / "classes.txt").read_text().split()
    net = SceneNet(len(classes)).to(memory_format=torch.channels_last)
    # Weight decay only on weights proper: not on biases, nor on the normalisation's scale and shift.
    decayed = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in net.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=args.rate)
    steps = args.epochs * (len(x) // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, total_steps=steps, pct_start=0.15)
    started = time.monotonic()
    for epoch in range(min(args.epochs, args.stop_after or args.epochs)):
        net.train()
        order = torch.randperm(len(x), generator=generator).numpy()
        losses = []
        for start in range(0, len(x) - args.batch + 1, args.batch):
            chosen = np.sort(order[start : start + args.batch])
            batch = augment(to_input(x[chosen]), generator)
            loss = functional.cross_entropy(net(batch), torch.from_numpy(y[chosen]), label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        accuracy = (predict(net, x_check).argmax(1) == y_check).mean()
        minutes = (time.monotonic() - started) / 60
        print(f"epoch {epoch + 1:2} loss {np.mean(losses):.4f} validation {accuracy:.4f} {minutes:.1f} min", flush=True)
        torch.save(net.state_dict(), args.out / "scenes_mobilenet.pt")
    return net, (time.monotonic() - started) / 60


def export(net: nn.Module, path: Path) -> None:
    """Writes ONNX, opset 13, batch dimension "N", batch normalisation kept as nodes of its own."""
    # PRESERVE keeps the module in evaluation mode and the exporter from folding normalisation into convolutions.
    torch.onnx.export(
        WithSoftmax(net).eval(),
        (torch.zeros(1, 3, 64, 64),),
        str(path),
        input_names=["image"],
        output_names=["prob"],
        opset_version=13,
        dynamic_axes={"image": {0: "N"}, "prob": {0: "N"}},
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    z, share = 1.959964, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half


def run_file(path: Path, pictures: np.ndarray, threads: int) -> np.ndarray:
    """Probabilities that the ONNX file gives, by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    starts = range(0, len(pictures), 250)
    inputs = (to_input(pictures[start : start + 250]).contiguous().numpy() for start in starts)
    return np.concatenate([session.run(["prob"], {"image": batch})[0] for batch in inputs])


def measure(path: Path, folder: Path, threads: int) -> dict[str, object]:
    """Accuracy and confusions of an ONNX file on one split."""
    x, y = load(folder)
    written = run_file(path, x, threads)
    classes = (folder / "classes.txt").read_text().split()
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (y, written.argmax(1)), 1)
    hits = int(np.trace(confusion))
    pairs = [(int(confusion[i, j]), classes[i], classes[j]) for i in range(len(classes)) for j in range(len(classes)) if i != j]
    return {
        "n": len(y),
        "correct": hits,
        "accuracy": hits / len(y),
        "interval": wilson(hits, len(y)),
        "recall": {name: float(confusion[i, i] / confusion[i].sum()) for i, name in enumerate(classes)},
        "worst_pairs": sorted(pairs, reverse=True)[:8],
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "x_sha256": hashlib.sha256((folder / "x.npy").read_bytes()).hexdigest(),
    }


def compare(net: nn.Module, path: Path, folder: Path, threads: int) -> dict[str, object]:
    """How far the ONNX file is from the network that it was written from."""
    x, _ = load(folder)
    written = run_file(path, x, threads)
    in_memory = torch.softmax(torch.from_numpy(predict(net, x)), 1).numpy()
    return {
        "largest_difference": float(np.abs(written - in_memory).max()),
        "same_top1": float((written.argmax(1) == in_memory.argmax(1)).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, validation, dev")
    parser.add_argument("--out", type=Path, default=Path("trained"), help="folder for the ONNX file and the report")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stop-after", type=int, default=0, help="end the schedule early, after this many epochs")
    parser.add_argument("--weights", type=Path, help="export and measure these instead of training")
    parser.add_argument("--measure", type=Path, help="only measure this ONNX file on dev")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.measure:
        print(json.dumps(measure(args.measure, args.data / "dev", args.threads), indent=1))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    minutes = 0.0
    if args.weights:
        net = SceneNet(12)
        net.load_state_dict(torch.load(args.weights, weights_only=True))
    else:
        net, minutes = train(args)
    path = args.out / "scenes_mobilenet.onnx"
    net = net.to(memory_format=torch.contiguous_format).eval()
    export(net, path)
    report = measure(path, args.data / "dev", args.threads) | compare(net, path, args.data / "dev", args.threads)
    report["parameters"] = sum(parameter.numel() for parameter in net.parameters())
    report["minutes"] = minutes
    (args.out / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
