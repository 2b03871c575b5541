"""Modules as functions of their parameters."""

from collections.abc import Callable, Sequence
from typing import Any

from rtensor import _C
from rtensor._C import Tensor


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """Return the function itself: its writes in place need no rewriting here.

    Parameters
    ----------
    func : callable
        Any function.
    remove : str
        Accepted for programs that give it.

    Returns
    -------
    callable
    """
    return func


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: dict | Sequence[dict],
    args: Any = None,
    kwargs: dict | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other parameters and buffers than its own.

    Parameters
    ----------
    module : Module
        What is called.
    parameter_and_buffer_dicts : dict or sequence of dict
        Tensors by their names in the module.
    args, kwargs
        The arguments; a single one needs no tuple.
    tie_weights : bool
        Accepted for programs that give it.
    strict : bool
        Raise where names are missing or unknown.

    Returns
    -------
    object
        What the module returns.
    """
    given = parameter_and_buffer_dicts
    tensors = dict(given) if isinstance(given, dict) else {k: v for part in given for k, v in part.items()}
    if strict:
        own = {name for name, _ in module.named_parameters()} | {name for name, _ in module.named_buffers()}
        if own != set(tensors):
            raise RuntimeError(f"Unexpected or missing keys: {', '.join(sorted(own ^ set(tensors)))}")
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    places = [_place(module, name) for name in tensors]
    before = [store[name] for store, name in places]
    try:
        for (store, name), tensor in zip(places, tensors.values(), strict=True):
            store[name] = tensor
        return module(*args, **(kwargs or {}))
    finally:
        for (store, name), tensor in zip(places, before, strict=True):
            store[name] = tensor


def _place(module: Any, path: str) -> tuple[dict, str]:
    """Return the dict of a submodule that holds a parameter or buffer, and its name there."""
    *parents, name = path.split(".")
    for parent in parents:
        module = module._modules[parent]
    for store in (module._parameters, module._buffers):
        if name in store:
            return store, name
    raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Stack the parameters and the buffers of modules of one architecture.

    Parameters
    ----------
    models : sequence of Module
        Modules with the same names and shapes.

    Returns
    -------
    params, buffers : dict of str to Tensor
        The parameters are leaves.
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    params = {
        name: _C.stack([dict(m.named_parameters())[name].detach() for m in models]).requires_grad_(p.requires_grad)
        for name, p in models[0].named_parameters()
    }
    buffers = {name: _C.stack([dict(m.named_buffers())[name] for m in models]) for name, _ in models[0].named_buffers()}
    return params, buffers


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Make the batch normalisations of a module forget their running statistics, in place.

    Parameters
    ----------
    root : Module
        The module.

    Returns
    -------
    Module
        The same module.
    """
    for module in root.modules():
        if getattr(module, "track_running_stats", False):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
