"""A script as users write them, which mypy must accept."""

import rtensor as torch


def model(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """One layer."""
    return torch.tanh(x @ weight + 1).sum(dim=1)


x = torch.rand(4, 3)
weight = torch.ones((3, 2), dtype=torch.float32, requires_grad=True)
loss: torch.Tensor = model(x, weight).mean()
loss.backward()
with torch.no_grad():
    weight -= 0.1 * weight
rows: int = x.shape[0]
value: float = float(loss)
shape: torch.Size = x.size()
first: torch.Tensor = x[0, ..., None]
parts = torch.split(x, 2)
inverse = torch.linalg.inv(torch.eye(3))
top = x.max(dim=1)
for row in x:
    print(row.tolist(), rows, value, shape, first.dtype, len(parts), inverse, top)
