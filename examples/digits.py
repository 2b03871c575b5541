"""Train a small convolutional network on the handwritten digits that scikit-learn ships.

    python examples/digits.py [--epochs 20] [--device cuda] [--out out/digits]

Writes to the output folder: `loss.png`, the loss over the steps; `graph.png` (`graph.svg` where the
program `dot` is not installed), the graph that autograd recorded for it; `weights.pt`, the parameters.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # pictures are written to files: no display is needed
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from tqdm import tqdm

import rtensor as torch
from rtensor import nn
from rtensor.utils.data import DataLoader, TensorDataset, random_split
from rtensor.viz import save_graph


class DigitNet(nn.Module):
    """Two convolutions, one pooling, two linear layers: 8x8 grey images to the scores of ten digits."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Linear(64, 10),
        )

    def forward(self, images):
        """Return one score for each digit."""
        return self.classifier(self.features(images))


def load(device):
    """Return training and held-out images with labels; every fifth sample, at random, is held out."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16  # grey levels 0 to 16
    labels = torch.from_numpy(digits.target).long()
    train, held_out = random_split(TensorDataset(images, labels), [0.8, 0.2])
    return [tuple(t[part.indices].to(device) for t in (images, labels)) for part in (train, held_out)]


def train(net, samples, epochs, batch_size=32):
    """Train in place; return the loss of every step and the last loss with its graph."""
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(*samples), batch_size=batch_size, shuffle=True)
    losses = []
    net.train()
    with tqdm(total=epochs * len(loader), desc="training", unit="step") as progress:
        for _ in range(epochs):
            for images, labels in loader:
                optimizer.zero_grad()
                loss = criterion(net(images), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                progress.update()
                progress.set_postfix(loss=f"{losses[-1]:.3f}")
            schedule.step()
    return losses, loss


@torch.no_grad()
def predict(net, images):
    """Return the most likely digit of each image."""
    net.eval()
    return net(images).argmax(dim=1)


def plot_losses(losses, path):
    """Draw the loss of every step and its running mean."""
    window = 20
    means = [
        sum(losses[max(0, i - window) : i + 1]) / len(losses[max(0, i - window) : i + 1]) for i in range(len(losses))
    ]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(losses, color="0.8", linewidth=0.8, label="each step")
    axes.plot(means, color="tab:blue", label=f"mean of {window} steps")
    axes.set(xlabel="step", ylabel="cross entropy", yscale="log", title="Training on handwritten digits")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def check_device(name):
    """Return the device, or end the program with the reason why it cannot be used."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda: no CUDA device is available (it needs an NVIDIA GPU, its driver, and CuPy)")
    return device


def parse_arguments():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images (default: 20)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("out/digits"), help="output folder (default: out/digits)")
    return parser.parse_args()


def main():
    """Train, evaluate, draw, save and reload."""
    options = parse_arguments()
    device = check_device(options.device)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)

    training, (images, labels) = load(device)
    net = DigitNet().to(device)
    print(net)
    started = time.perf_counter()
    losses, loss = train(net, training, options.epochs)
    seconds = time.perf_counter() - started
    predictions = predict(net, images)
    accuracy = (predictions == labels).float().mean().item()
    print(f"trained on {len(training[1])} images in {seconds:.1f} s")
    print(f"accuracy on {len(labels)} held-out images: {accuracy:.1%}")

    plot_losses(losses, options.out / "loss.png")
    graph = save_graph(loss, options.out / "graph", params=dict(net.named_parameters()))
    weights = options.out / "weights.pt"
    torch.save(net.state_dict(), weights)
    print(f"wrote {options.out / 'loss.png'}, {graph} and {weights}")

    reloaded = DigitNet().to(device)
    reloaded.load_state_dict(torch.load(weights))
    if not torch.equal(predict(reloaded, images), predictions):
        sys.exit("the reloaded network predicts something else")
    print("the reloaded network predicts the same")
    return 0 if accuracy >= 0.97 or options.epochs < 20 else 1


if __name__ == "__main__":
    sys.exit(main())
