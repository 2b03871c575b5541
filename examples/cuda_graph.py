"""Train a small network on a GPU, step by step and as one recorded graph, and compare the times.

    python examples/cuda_graph.py [--steps 200] [--width 256]

A step of a small network is dozens of kernels that each take a few microseconds, less than it takes Python to ask
for them. A graph asks for all of them at once.
"""

import argparse
import time

import rtensor as torch
from rtensor import nn

BATCH, FEATURES, CLASSES = 64, 32, 10


def make(width):
    """Return a network and its optimiser, always with the same parameters."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, CLASSES)).cuda()
    # Step counts on the device, so that a graph can hold the optimiser's step.
    return net, torch.optim.AdamW(net.parameters(), lr=1e-3, capturable=True)


def batches(steps):
    """Return random inputs, and labels that depend on them, for every step; in page-locked memory."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(steps, BATCH, FEATURES, generator=generator)
    labels = inputs[..., :CLASSES].argmax(-1)
    return inputs.pin_memory(), labels.pin_memory()


def train_step(net, optimizer, inputs, labels):
    """Update the network once and return the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(net(inputs), labels)
    loss.backward()
    optimizer.step()
    return loss


def eager(width, all_inputs, all_labels):
    """Train step by step; return the last loss."""
    net, optimizer = make(width)
    for inputs, labels in zip(all_inputs, all_labels, strict=True):
        loss = train_step(net, optimizer, inputs.cuda(non_blocking=True), labels.cuda(non_blocking=True))
    return loss.item()


def captured(width, all_inputs, all_labels):
    """Train the first steps as they are, record one, and replay it for the others; return the last loss."""
    net, optimizer = make(width)
    # A graph works on the same memory every time: batches are copied into it.
    inputs, labels = all_inputs[0].cuda(), all_labels[0].cuda()
    warm_up = min(3, len(all_inputs))

    # Kernels are compiled and libraries loaded before the recording, on another stream than the default one.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for step in range(warm_up):
            inputs.copy_(all_inputs[step], non_blocking=True)
            labels.copy_(all_labels[step], non_blocking=True)
            loss = train_step(net, optimizer, inputs, labels)
    torch.cuda.current_stream().wait_stream(side)

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = train_step(net, optimizer, inputs, labels)

    for step in range(warm_up, len(all_inputs)):
        inputs.copy_(all_inputs[step], non_blocking=True)
        labels.copy_(all_labels[step], non_blocking=True)
        graph.replay()
    return loss.item()


def main():
    """Run both ways and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(message="this example needs a GPU and CuPy\n")
    inputs, labels = batches(options.steps)
    for train in (eager, captured):
        train(options.width, inputs[:4], labels[:4])
        torch.cuda.synchronize()
        start = time.perf_counter()
        loss = train(options.width, inputs, labels)
        took = time.perf_counter() - start
        print(f"{train.__name__:>8}: loss {loss:.4f}, {took / options.steps * 1e6:7.1f} microseconds per step")


if __name__ == "__main__":
    main()
