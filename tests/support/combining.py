"""Methods that combine terms, driven on small problems whose answers are known."""

import torch


def of(method, count=2, **settings):
    """Make a method for terms called a, b, c, ... in double precision."""
    return method(terms="abcdefgh"[:count], **settings).double()


def descend(combine, terms, start, steps=600, lr=0.1, decay=1.0, epoch=20):
    """Return where a method comes to in plain gradient descent on x; `terms(x)` are (T,)."""
    point = start.clone().requires_grad_()
    learned = list(combine.parameters())
    seen = []
    for step in range(steps):
        if step % epoch == 0:
            combine.start_epoch(step // epoch, torch.stack(seen).mean(0) if seen else None)
            seen = []
        values = terms(point)
        seen.append(values.detach())
        gradients = jacobian(values, point)
        if combine.by == "gradient":
            direction, pulls = combine(gradients), []
        else:
            direction, *pulls = torch.autograd.grad(combine(values), [point, *learned])
        with torch.no_grad():
            point -= lr * direction
            for parameter, pull in zip(learned, pulls, strict=True):
                parameter.sub_(lr * pull)
        if hasattr(combine, "after_step"):
            combine.after_step(terms(point))
        if hasattr(combine, "balance"):
            combine.balance(values, gradients.norm(dim=1))
        lr *= decay
    return point.detach()


def jacobian(values, point):
    """Return the gradients (T, P) of the terms."""
    return torch.stack([torch.autograd.grad(value, point, retain_graph=True)[0] for value in values])


def shortest(first, second):
    """Return the norm of the shortest vector between two gradients, by its closed form; 0 on the Pareto front."""
    difference = first - second
    share = (-(difference @ second) / (difference @ difference)).clamp(0, 1)
    return (share * first + (1 - share) * second).norm().item()
