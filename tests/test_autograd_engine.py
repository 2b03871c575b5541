"""The backward pass: arguments, order, accumulation, hooks, freeing, threads."""

import threading
import weakref

import pytest

import rtensor as torch
from rtensor.autograd import graph

pytestmark = pytest.mark.any_device


def leaf(*values):
    return torch.tensor(values or (1.0, 2.0, 3.0), requires_grad=True)


def names(node):
    return [None if fn is None else type(fn).__name__ for fn, _ in node.next_functions]


def test_graph_of_a_small_expression():
    x = leaf()
    y = (x * 2).exp().sum()
    assert type(y.grad_fn).__name__ == y.grad_fn.name() == "SumBackward0"
    assert repr(y.grad_fn).startswith("<SumBackward0 object at 0x")
    exp = y.grad_fn.next_functions[0][0]
    mul = exp.next_functions[0][0]
    assert names(y.grad_fn) == ["ExpBackward0"] and names(exp) == ["MulBackward0"]
    assert names(mul) == ["AccumulateGrad", None]
    assert mul.next_functions[0][0].variable is x
    assert y.grad_fn is y.grad_fn and isinstance(y.grad_fn, graph.Node)
    assert x.grad_fn is None and x.is_leaf and not y.is_leaf


def test_saved_tensors_are_attributes_until_freed():
    x = leaf()
    y = x.exp()
    z = y * x
    assert y.grad_fn._saved_result.tolist() == y.tolist()
    assert z.grad_fn._saved_other is x and "_saved_self" in dir(z.grad_fn)
    z.grad_fn.metadata["note"] = 1
    assert z.grad_fn.metadata == {"note": 1}
    z.sum().backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.grad_fn._saved_result


def test_gradients_accumulate_and_the_first_is_taken_over():
    x = leaf()
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first and first.tolist() == [5.0, 5.0, 5.0]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0] and first.tolist() == [5.0, 5.0, 5.0]


def test_gradients_of_two_leaves_do_not_share_memory():
    x, y = leaf(), leaf()
    seed = torch.ones(3)
    (x + y).backward(seed)
    x.grad.add_(1)
    assert y.grad.tolist() == [1.0, 1.0, 1.0] and seed.tolist() == [1.0, 1.0, 1.0]


def test_broadcast_operands_get_gradients_of_their_shape():
    x, y = torch.ones(3, 1, requires_grad=True), torch.ones(4, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.tolist() == [[4.0]] * 3 and y.grad.tolist() == [3.0] * 4


def test_mixed_dtypes_get_gradients_of_their_dtype():
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, dtype=torch.double, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.dtype == torch.float32 and y.grad.dtype == torch.float64


def test_second_pass_needs_a_retained_graph():
    x = leaf()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0, 12.0]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_create_graph_gives_higher_derivatives():
    x = leaf(2.0)
    y = x**4
    for expected in (32.0, 48.0, 48.0, 24.0 * 2 / 2):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert y.tolist() == [expected]


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda x: torch.ones(3).backward(), RuntimeError, "element 0 of tensors does not require grad and does not"),
        (lambda x: (x * 2).backward(), RuntimeError, "grad can be implicitly created only for scalar outputs"),
        (
            lambda x: (x * 2).backward(torch.ones(2)),
            RuntimeError,
            r"Mismatch in shape: grad_output\[0\] has a shape of",
        ),
        (lambda x: x.sum().backward(inputs=[]), RuntimeError, "`inputs` argument to `backward\\(\\)` cannot be empty"),
        (lambda x: torch.autograd.grad(x.sum(), []), RuntimeError, "`inputs` argument to `grad\\(\\)` cannot be empty"),
        (lambda x: torch.autograd.grad(x.sum(), torch.ones(2)), RuntimeError, "One of the differentiated Tensors does"),
        (lambda x: torch.autograd.grad(x.sum(), leaf()), RuntimeError, "at index 0 appears to not have been used in"),
        (
            lambda x: torch.autograd.grad(x.sum(), x, allow_unused=False, materialize_grads=True),
            ValueError,
            "Expected allow_unused to be True or not passed when materialize_grads=True",
        ),
        (lambda x: (x * 1j).sum().backward(), RuntimeError, "grad can be implicitly created only for real scalar"),
    ],
)
def test_wrong_calls(run, error, message):
    with pytest.raises(error, match=message):
        run(leaf())


def test_grad_leaves_leaves_alone():
    x, unused = leaf(), leaf(1.0)
    y = (x * x).sum()
    dx, none = torch.autograd.grad(y, (x, unused), retain_graph=True, allow_unused=True)
    assert dx.tolist() == [2.0, 4.0, 6.0] and none is None and x.grad is None
    assert torch.autograd.grad(y, (x, unused), materialize_grads=True)[1].tolist() == [0.0]


def test_grad_with_respect_to_inner_tensors():
    x = leaf()
    y = x * 2
    z = (y * y).sum()
    dy, dx = torch.autograd.grad(z, (y, x))
    assert dy.tolist() == [4.0, 8.0, 12.0] and dx.tolist() == [8.0, 16.0, 24.0]


def test_backward_for_some_inputs_only():
    x, w = leaf(), leaf()
    y = x * w
    y.sum().backward(inputs=[x])
    assert x.grad.tolist() == [1.0, 2.0, 3.0] and w.grad is None
    y = x * w
    y.sum().backward(inputs=y)
    assert y.grad.tolist() == [1.0, 1.0, 1.0] and x.grad.tolist() == [1.0, 2.0, 3.0]


def test_batched_vectors():
    x = leaf()
    (jacobian,) = torch.autograd.grad(x * x, x, torch.eye(3), is_grads_batched=True)
    assert jacobian.tolist() == torch.diag(2 * x.detach()).tolist()


def test_several_roots():
    x = leaf()
    torch.autograd.backward([(x * 2).sum(), x * 3], [None, torch.ones(3)])
    assert x.grad.tolist() == [5.0, 5.0, 5.0]


def test_tensor_hooks_run_in_order_and_replace():
    x = leaf()
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append("first") or g * 10)
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: seen.append("removed"))
    handle.remove()
    handle.remove()
    x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert seen == ["first", [10.0, 10.0, 10.0]] and x.grad.tolist() == [21.0, 21.0, 21.0]


@pytest.mark.parametrize(
    ("hook", "error", "message"),
    [
        (lambda g: 3, TypeError, "expected Variable, but hook returned 'int'"),
        (lambda g: g[:1], RuntimeError, "has changed the size of value"),
        (lambda g: g.double(), RuntimeError, "has changed the type of value"),
    ],
)
def test_hooks_must_return_gradients(hook, error, message):
    x = leaf()
    x.register_hook(hook)
    with pytest.raises(error, match=message):
        x.sum().backward()


def test_exception_of_a_hook_is_passed_on():
    x = leaf()
    problem = KeyError("from the hook")

    def hook(grad):
        raise problem

    x.register_hook(hook)
    with pytest.raises(KeyError) as info:
        x.sum().backward()
    assert info.value is problem
    x.grad = None
    assert torch.is_grad_enabled()


def test_hooks_need_gradients():
    plain = torch.ones(2)
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't require gradient"):
        plain.register_hook(print)
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        plain.retain_grad()
    with pytest.raises(RuntimeError, match="post accumulate grad hooks cannot be registered on non-leaf tensors"):
        (leaf() * 2).register_post_accumulate_grad_hook(print)


def test_retained_gradient_is_the_hooked_one():
    y = leaf() * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.retain_grad()
    assert y.retains_grad
    y.sum().backward()
    assert y.grad.tolist() == [2.0, 2.0, 2.0]


def test_hook_after_accumulation():
    x = leaf()
    seen = []

    def step(p):
        seen.append((p is x, p.grad.tolist()))
        p.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert seen == [(True, [2.0, 2.0, 2.0])] and x.grad is None
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 1


def test_node_hooks():
    x = leaf()
    y = x * 2
    log = []
    y.grad_fn.register_prehook(lambda grads: log.append(("pre", grads[0].tolist())) or (grads[0] * 2,))
    y.grad_fn.register_hook(lambda inputs, outputs: log.append(("post", len(inputs), outputs[0].tolist())))
    y.grad_fn.next_functions[0][0].register_hook(lambda inputs, outputs: log.append((inputs, outputs[0].tolist())))
    y.sum().backward()
    assert log == [("pre", [1.0, 1.0, 1.0]), ("post", 2, [2.0, 2.0, 2.0]), ((), [4.0, 4.0, 4.0])]
    assert x.grad.tolist() == [4.0, 4.0, 4.0]


def test_multi_grad_hook():
    x, y = leaf(), leaf()
    calls = []
    handle = graph.register_multi_grad_hook((x, y), calls.append)
    (x * y).sum().backward()
    assert [g.tolist() for g in calls[0]] == [[1.0, 2.0, 3.0]] * 2
    handle.remove()
    (x * y).sum().backward()
    assert len(calls) == 1


def test_gradient_of_non_leaf_warns():
    y = leaf() * 2
    with pytest.warns(UserWarning, match="The .grad attribute of a Tensor that is not a leaf Tensor is being accessed"):
        assert y.grad is None


def test_gradient_assignment_is_checked():
    x = leaf()
    for wrong in (torch.ones(2), torch.ones(3, dtype=torch.double), x):
        with pytest.raises(RuntimeError):
            x.grad = wrong
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None but got grad of type"):
        x.grad = 3
    x.grad = torch.ones(3)
    del x.grad
    assert x.grad is None


def test_shared_subgraph_runs_once_and_in_order():
    x = leaf(1.0)
    order = []
    y = x * 2
    a, b = y * 3, y * 4
    for name, t in (("y", y), ("a", a), ("b", b)):
        t.register_hook(lambda g, name=name: order.append((name, g.tolist())))
    (a + b).backward()
    assert order[-1] == ("y", [7.0]) and len(order) == 3 and x.grad.tolist() == [14.0]


def test_backward_inside_of_a_hook():
    x = leaf()
    inner = leaf()

    def hook(grad):
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            (inner * x.detach()).sum().backward()

    y = x * 2
    y.register_hook(hook)
    y.sum().backward()
    assert inner.grad.tolist() == [1.0, 2.0, 3.0] and x.grad.tolist() == [2.0, 2.0, 2.0]


def test_same_graph_inside_of_its_own_pass():
    x = leaf()
    y = x * 2
    z = y.sum()
    runs = []

    def hook(grad):
        if not runs:
            runs.append(1)
            z.backward(retain_graph=True)

    y.register_hook(hook)
    z.backward(retain_graph=True)
    assert x.grad.tolist() == [4.0, 4.0, 4.0]


def test_threads_run_backward_side_by_side():
    x = leaf()
    shared = (x * x).sum()
    results, failures = [], []

    def work():
        try:
            for _ in range(20):
                (g,) = torch.autograd.grad(shared, x, retain_graph=True)
                results.append(g.tolist())
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and results == [[2.0, 4.0, 6.0]] * 80


def test_long_chain_runs_and_is_freed():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y * 1
    y.backward()
    assert x.grad.tolist() == [1.0]
    y = x
    for _ in range(200_000):
        y = y + 1
    del y


def test_graph_is_freed_with_its_last_tensor():
    class Note:
        pass

    note = Note()
    alive = weakref.ref(note)
    y = (leaf() * 2).exp()
    y.grad_fn.next_functions[0][0].metadata["note"] = note
    del note
    assert alive() is not None
    del y
    assert alive() is None


def test_gradient_edges():
    x = leaf()
    y = x * 2
    edge = graph.get_gradient_edge(y)
    assert edge.node is y.grad_fn and edge.output_nr == 0
    (g,) = torch.autograd.grad((y * y).sum(), edge)
    assert g.tolist() == [4.0, 8.0, 12.0]
    torch.autograd.backward(graph.get_gradient_edge(y), torch.ones(3))
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_view_with_many_outputs():
    x = torch.ones(40, requires_grad=True)
    parts = x.unbind()
    (parts[0] + 2 * parts[39]).backward()
    assert x.grad[0].item() == 1.0 and x.grad[39].item() == 2.0 and x.grad.sum().item() == 3.0
