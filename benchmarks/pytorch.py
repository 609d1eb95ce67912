"""PyTorch's side of `speed.py`: a process of its own, since PyTorch and TensorFlow would fight over the cores in one.

It takes a JSON request a line on stdin and answers each by a line on stdout; between requests it waits and takes no
time from the other side. `{"job": "training", ...}` builds one of `JOBS` from the other values and answers with what is
known of it; `{}` runs what was built last. `peer_torch.py` takes its network from here.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

BATCH_SIZE = 128


def convnet(size: int = 28, dropout_rates: tuple[float, float] = (0.25, 0.5)) -> nn.Sequential:
    """Return the network of `uncertainty_suite.models.convnet` for `size` x `size` x 1 images."""
    first, second = map(nn.Dropout, dropout_rates)
    features = 64 * ((size - 4) // 2) ** 2
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), first),
        *(nn.Flatten(), nn.Linear(features, 128), nn.ReLU(), second, nn.Linear(128, 10)),
    )


class Block(nn.Module):
    """A residual block of `resnet20` (the normalisation after each convolution) or of `wide_resnet` (before it)."""

    def __init__(self, channels: int, filters: int, strides: int, wide: bool) -> None:
        super().__init__()
        self.wide = wide
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(channels, filters, 3, strides, padding=1, bias=not wide),
                nn.Conv2d(filters, filters, 3, padding=1, bias=not wide),
            ]
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels if wide else filters), nn.BatchNorm2d(filters)])
        self.shortcut = nn.Identity()
        if channels != filters:
            self.shortcut = nn.Conv2d(channels, filters, 1, strides, bias=not wide)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (first, second), (norm, next_norm) = self.convolutions, self.norms
        if self.wide:
            y = second(torch.relu(next_norm(first(torch.relu(norm(x))))))
            return self.shortcut(x) + y
        y = next_norm(second(torch.relu(norm(first(x)))))
        return torch.relu(self.shortcut(x) + y)


def residual_network(widths: tuple[int, ...], blocks: int, wide: bool) -> nn.Module:
    """Return a residual network for 32 x 32 x 3 images with `blocks` blocks of each width."""
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=not wide)]
    layers += [] if wide else [nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for filters in widths:
        for block in range(blocks):
            layers.append(Block(channels, filters, 2 if block == 0 and filters != widths[0] else 1, wide))
            channels = filters
    layers += [nn.BatchNorm2d(channels), nn.ReLU()] if wide else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class EncoderBlock(nn.Module):
    """A block of `uncertainty_suite.models.encoder.encode`: attention, and two dense layers."""

    def __init__(self, num_hidden: int, num_heads: int, dropout_rate: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norms = nn.ModuleList([nn.LayerNorm(num_hidden, eps=1e-6) for _ in range(2)])
        self.query_key_value, self.mixed = nn.Linear(num_hidden, 3 * num_hidden), nn.Linear(num_hidden, num_hidden)
        self.dense = nn.Sequential(
            nn.Linear(num_hidden, 4 * num_hidden), nn.GELU(), nn.Linear(4 * num_hidden, num_hidden)
        )
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        by_head = self.query_key_value(self.norms[0](x)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = by_head.permute(2, 0, 3, 1, 4)  # [batch, heads, length, dimension of a head] each
        mixed = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.mixed(mixed))
        return x + self.dropout(self.dense(self.norms[1](x)))


class VisionTransformer(nn.Module):
    """The network of `uncertainty_suite.models.vit` for 32 x 32 x 3 images, of ten classes."""

    def __init__(
        self, patch_size: int, num_layers: int, num_hidden: int, num_heads: int, dropout_rate: float = 0.1
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, num_hidden, patch_size, patch_size)
        self.positions = nn.Parameter(0.02 * torch.randn(1 + (32 // patch_size) ** 2, num_hidden))
        self.dropout = nn.Dropout(dropout_rate)
        self.blocks = nn.Sequential(*(EncoderBlock(num_hidden, num_heads, dropout_rate) for _ in range(num_layers)))
        self.head = nn.Sequential(nn.LayerNorm(num_hidden, eps=1e-6), nn.Linear(num_hidden, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = nn.functional.pad(tokens, (0, 0, 1, 0))  # the token of the class before them
        return self.head(self.blocks(self.dropout(tokens + self.positions))[:, 0])


ARCHITECTURES = {
    "convnet": ((1, 28, 28), convnet),
    "resnet20": ((3, 32, 32), lambda: residual_network((16, 32, 64), 3, wide=False)),
    "wide_resnet 16-4": ((3, 32, 32), lambda: residual_network((64, 128, 256), 2, wide=True)),
    "vit": ((3, 32, 32), lambda: VisionTransformer(patch_size=4, num_layers=4, num_hidden=128, num_heads=4)),
}


def training(architecture: str, precision: str, num_examples: int) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Build an epoch of eager training: the number of trainable parameters, and the function that runs it."""
    torch.manual_seed(0)
    shape, build = ARCHITECTURES[architecture]
    # Channels last and Adam's fused kernel are what PyTorch is fastest with on these networks.
    model = build().to(memory_format=torch.channels_last)
    features = torch.rand(num_examples, *shape).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (num_examples,))
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)

    def epoch() -> float:
        loss_sum = correct = torch.zeros(())
        # Whole rows of a permutation: a `DataLoader` gathers example by example and would be slower.
        for chosen in torch.randperm(num_examples).split(BATCH_SIZE):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                logits = model(features[chosen])
            loss = nn.functional.cross_entropy(logits.float(), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum = loss_sum + loss.detach()
            correct = correct + (logits.argmax(dim=1) == labels[chosen]).sum()
        return float(loss_sum), float(correct)

    return {"parameters": sum(parameter.numel() for parameter in model.parameters())}, epoch


def matrix_product(size: int, precision: str) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Build a product of two square matrices."""
    a, b = torch.rand(2, size, size).to(getattr(torch, precision))
    return {}, lambda: a @ b


def convolution(shape: tuple[int, ...], precision: str) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Build a 3 x 3 convolution of images `[batch, height, width, channels]` into as many channels."""
    batch, height, width, channels = shape
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    layer = layer.to(getattr(torch, precision), memory_format=torch.channels_last).requires_grad_(False)
    images = torch.rand(batch, channels, height, width).to(getattr(torch, precision))
    images = images.to(memory_format=torch.channels_last)
    return {}, lambda: layer(images)


JOBS = {"training": training, "matrix product": matrix_product, "convolution": convolution}


def main() -> None:
    """Answer requests until there are no more."""
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        if request:
            answer, run = JOBS[request.pop("job")](**request)
        else:
            run()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
