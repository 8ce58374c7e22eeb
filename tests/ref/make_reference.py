#!/usr/bin/env python3
"""Computes what every operation of a backend should yield, with PyTorch in double precision, for the cases in
../op_cases.c and ../../src/self_test/brief_cases.h, and writes ops.bin beside this file.

    python3 tests/ref/make_reference.py

Needs torch and numpy. Run it again whenever a case is added or changed. The inputs are not stored: both sides draw them
from Philox4x32-10 by the name of the case.

ops.bin, little-endian; a string is a u32 length and its bytes:
    8 bytes "OPSREF01", u32 cases, then for each case
        string name, u32 arrays, then for each array
            string name, u64 count, f64 magnitude, u32 stored, f64 values[stored]
`magnitude` is the largest sum of the absolute terms that make up an element: rounding errors are in proportion to it,
whatever the order of summation. An array of up to WHOLE elements is stored as it is (stored = count); of a longer one,
SAMPLES elements and the sums of SEGMENTS consecutive parts, element i times sign(i), so that every element counts:
    sample k  is element  word(k) mod count, words of the stream (seed, SAMPLE_STREAM, 0)
    part s    is elements floor(s*count/SEGMENTS) .. floor((s+1)*count/SEGMENTS) - 1
    sign(i)   is -1 where the lowest bit of word i of the stream (seed, SIGN_STREAM, 0) is set, else 1
with seed = FNV-1a of the case's name.
"""

import pathlib
import re
import struct

import numpy as np
import torch
import torch.nn.functional as F

import optimizers

WHOLE, SAMPLES, SEGMENTS = 512, 128, 32
SAMPLE_STREAM, SIGN_STREAM = 1000, 1001
STEPS = 5  # of an optimizer

# --- Philox4x32-10: Salmon, Moraes, Dror, Shaw, SC 2011 ---


def philox(counter, key):
    """counter: four arrays of uint64 that hold 32-bit words, key: two words -> (n, 4) words."""
    c0, c1, c2, c3 = (np.asarray(c, dtype=np.uint64) for c in counter)
    k0, k1 = key
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), p1 & mask, high0 ^ c3 ^ np.uint64(k1), p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1)


def check_philox():
    """The vectors that Random123 publishes (kat_vectors)."""
    for vector in (
        "00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd",
        "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1",
    ):
        words = [int(word, 16) for word in vector.split()]
        result = philox([np.array([word]) for word in words[:4]], words[4:6])
        assert result[0].tolist() == words[6:], vector


def words_at(indices, seed, stream, step):
    """The words of a stream at these places: word i of a stream is word i mod 4 of the draw i / 4."""
    indices = np.asarray(indices, dtype=np.uint64)
    draw = indices // np.uint64(4)
    full = lambda value: np.full(indices.shape, value, dtype=np.uint64)
    counter = (draw & np.uint64(0xFFFFFFFF), draw >> np.uint64(32), full(step), full(stream))
    drawn = philox(counter, (seed & 0xFFFFFFFF, seed >> 32))
    return np.take_along_axis(drawn, (indices % np.uint64(4)).astype(np.int64)[..., None], axis=-1)[..., 0]


def words(count, seed, stream):
    return words_at(np.arange(count), seed, stream, 0)


def seed_of(name):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return seed


class Inputs:
    """Draws the inputs of a case in the order of op_case_inputs."""

    def __init__(self, name):
        self.seed, self.stream = seed_of(name), 0

    def units(self, *shape):
        count = int(np.prod(shape))
        result = ((words(count, self.seed, self.stream) >> np.uint64(20)).astype(np.float64) - 2048) / 1024
        self.stream += 1
        return torch.from_numpy(result.reshape(shape))

    def labels(self, n, classes):
        return ((self.units(n) + 2) * 1024).long() % classes


# --- the operations: each returns {output: (values, magnitude)} ---


def largest(tensor):
    return float(tensor.abs().max())


def differentiate(function, inputs, dy):
    """function(*inputs) and the gradients of sum(function * dy)."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    y = function(*leaves)
    return [y.detach()] + list(torch.autograd.grad(y, leaves, dy))


def conv2d(draw, n, i, h, w, o, kernel, stride, padding, bias, groups=1):
    x, weight = draw.units(n, i, h, w), draw.units(o, i // groups, kernel, kernel)
    output = [(size + 2 * padding - kernel) // stride + 1 for size in (h, w)]
    dy = draw.units(n, o, *output)
    inputs = [x, weight] + ([draw.units(o)] if bias else [])
    function = lambda *arguments: F.conv2d(*arguments, stride=stride, padding=padding, groups=groups)
    values = differentiate(function, inputs, dy)
    bounds = differentiate(function, [tensor.abs() for tensor in inputs], dy.abs())
    return {name: (v, largest(b)) for name, v, b in zip(("y", "dx", "dweight", "dbias"), values, bounds)}


def linear(draw, n, d, o, bias):
    return conv2d(draw, n, d, 1, 1, o, 1, 1, 0, bias)


def pool(draw, function, n, c, h, w, kernel, stride, padding):
    x = draw.units(n, c, h, w)
    output = [(size + 2 * padding - kernel) // stride + 1 for size in (h, w)]
    dy = draw.units(n, c, *output)
    apply = lambda tensor: function(tensor, kernel, stride, padding)
    y, dx = differentiate(apply, [x], dy)
    return {"y": (y, largest(x)), "dx": (dx, largest(differentiate(apply, [x], dy.abs())[1]))}


def batchnorm_definition(x, gamma, beta, epsilon):
    mean = x.mean((0, 2, 3), keepdim=True)
    var = (x - mean).square().mean((0, 2, 3), keepdim=True)
    return (x - mean) / (var + epsilon).sqrt() * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)


def check_batchnorm(x, gamma, beta, running_mean, running_var, dy, epsilon, momentum, ours):
    """The definition in backend.h, differentiated, is PyTorch's batch normalization. (Its kernels lose some digits, so
    they are not the reference themselves; and with one value per channel they refuse to train.)"""
    mean, var = running_mean.clone(), running_var.clone()
    if x.numel() > x.shape[1]:
        function = lambda *leaves: F.batch_norm(leaves[0], mean, var, leaves[1], leaves[2], True, momentum, epsilon)
        theirs = differentiate(function, [x, gamma, beta], dy)
        mean, var = running_mean.clone(), running_var.clone()
        F.batch_norm(x, mean, var, gamma, beta, True, momentum, epsilon)
    else:
        theirs, mean, var = list(ours[:4]), ours[5], ours[6]
    theirs += [F.batch_norm(x, running_mean, running_var, gamma, beta, False, 0.0, epsilon), mean, var]
    for a, b in zip(ours, theirs):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * largest(b) + 1e-12), (a - b).abs().max()


def batchnorm(draw, n, c, h, w, offset, scale, epsilon, momentum):
    x = offset + scale * draw.units(n, c, h, w)
    gamma, beta, running_mean = draw.units(c), draw.units(c), draw.units(c)
    running_var, dy = draw.units(c).abs() + 0.5, draw.units(n, c, h, w)
    view, sums, count = (1, c, 1, 1), (0, 2, 3), n * h * w
    mean = x.mean(sums)
    var = (x - mean.view(view)).square().mean(sums)
    rstd = (var + epsilon).rsqrt()
    y, dx, dgamma, dbeta = differentiate(lambda *leaves: batchnorm_definition(*leaves, epsilon), [x, gamma, beta], dy)
    running_scale = (gamma / (running_var + epsilon).sqrt()).view(view)
    y_evaluate = (x - running_mean.view(view)) * running_scale + beta.view(view)
    new_mean = (1 - momentum) * running_mean + momentum * mean
    new_var = (1 - momentum) * running_var + momentum * var * (count / (count - 1) if count > 1 else 1)
    check_batchnorm(x, gamma, beta, running_mean, running_var, dy, epsilon, momentum,
                    (y, dx, dgamma, dbeta, y_evaluate, new_mean, new_var))
    # mu is kept as a number of the backend's precision, so x - mu is off by roundoff * |mu|, however it is computed
    size = rstd.view(view) * (x.abs() + mean.abs().view(view))  # of the terms in xhat
    xhat, scaled = (rstd.view(view) * (x - mean.view(view))).abs(), (gamma * rstd).abs().view(view)
    dgamma_size, dbeta_size = (dy.abs() * size).sum(sums), dy.abs().sum(sums)
    dx_sums = dbeta_size.view(view) + xhat * dgamma_size.view(view) + size * dgamma.abs().view(view)
    dx_size = dy.abs() + dx_sums / count
    evaluate_size = running_scale.abs() * (x.abs() + running_mean.abs().view(view))
    return {
        "y": (y, largest(gamma.abs().view(view) * size + beta.abs().view(view))),
        "mean": (mean, largest(x)),
        "rstd": (rstd, largest(rstd)),
        "running_mean": (new_mean, largest(x) + largest(running_mean)),
        "running_var": (new_var, largest(new_var) + largest(running_var)),
        "dx": (dx, largest(scaled * dx_size)),
        "dgamma": (dgamma, largest(dgamma_size)),
        "dbeta": (dbeta, largest(dbeta_size)),
        "y_evaluate": (y_evaluate, largest(evaluate_size + beta.abs().view(view))),
    }


ACTIVATIONS = {
    "NONE": lambda slope: lambda u: u,
    "RELU": lambda slope: F.relu,
    "RELU6": lambda slope: F.relu6,
    "LEAKY_RELU": lambda slope: lambda u: F.leaky_relu(u, slope),
    "ELU": lambda slope: lambda u: F.elu(u, slope),
    "GELU": lambda slope: F.gelu,
    "SILU": lambda slope: F.silu,
}
# The largest slopes are 1.13 and 1.1, and the argument of their exponential function rounds too. Those of the other
# activations are 1, or that of their left side.
STEEPEST = {"GELU": 2, "SILU": 2}


def fused(draw, n, c, h, w, activation_name, slope, addend, pool_name=None, *window):
    """Batch normalization, addend, activation, pool. Sizes are those of batchnorm above, with du in the place of dy."""
    epsilon, momentum, x = 1e-5, 0.1, 0.5 + draw.units(n, c, h, w)
    gamma, beta, running_mean = draw.units(c) * (3 if activation_name == "RELU6" else 1), draw.units(c), draw.units(c)
    running_var = draw.units(c).abs() + 0.5
    output = [(size + 2 * window[2] - window[0]) // window[1] + 1 for size in (h, w)] if pool_name else [h, w]
    dy = draw.units(n, c, *output)
    added = draw.units(n, c, h, w) if addend else torch.zeros(n, c, h, w, dtype=torch.float64)
    pools = {None: lambda z: z, "MAX": lambda z: F.max_pool2d(z, *window), "AVERAGE": lambda z: F.avg_pool2d(z, *window)}
    rest = lambda u: pools[pool_name](ACTIVATIONS[activation_name](slope)(u))
    function = lambda x, gamma, beta, added: rest(batchnorm_definition(x, gamma, beta, epsilon) + added)
    y, dx, dgamma, dbeta, daddend = differentiate(function, [x, gamma, beta, added], dy)
    view, sums, count = (1, c, 1, 1), (0, 2, 3), n * h * w
    mean = x.mean(sums)
    var = (x - mean.view(view)).square().mean(sums)
    rstd = (var + epsilon).rsqrt()
    running_scale = (gamma / (running_var + epsilon).sqrt()).view(view)
    y_evaluate = rest((x - running_mean.view(view)) * running_scale + beta.view(view) + added)
    new_mean = (1 - momentum) * running_mean + momentum * mean
    new_var = (1 - momentum) * running_var + momentum * var * (count / (count - 1) if count > 1 else 1)
    steepest = max(1, slope, STEEPEST.get(activation_name, 0))
    _, du_size = differentiate(pools[pool_name], [ACTIVATIONS[activation_name](slope)(
        batchnorm_definition(x, gamma, beta, epsilon) + added)], dy.abs())
    du_size = steepest * du_size
    size = rstd.view(view) * (x.abs() + mean.abs().view(view))
    xhat, scaled = (rstd.view(view) * (x - mean.view(view))).abs(), (gamma * rstd).abs().view(view)
    dgamma_size, dbeta_size = (du_size * size).sum(sums), du_size.sum(sums)
    dx_sums = dbeta_size.view(view) + xhat * dgamma_size.view(view) + size * dgamma.abs().view(view)
    u_size = gamma.abs().view(view) * size + beta.abs().view(view) + added.abs()
    evaluate_size = running_scale.abs() * (x.abs() + running_mean.abs().view(view)) + beta.abs().view(view) + added.abs()
    result = {
        "y": (y, steepest * largest(u_size)),
        "mean": (mean, largest(x)),
        "rstd": (rstd, largest(rstd)),
        "running_mean": (new_mean, largest(x) + largest(running_mean)),
        "running_var": (new_var, largest(new_var) + largest(running_var)),
        "dx": (dx, largest(scaled * (du_size + dx_sums / count))),
        "dgamma": (dgamma, largest(dgamma_size)),
        "dbeta": (dbeta, largest(dbeta_size)),
        "y_evaluate": (y_evaluate, steepest * largest(evaluate_size)),
    }
    if addend:
        result["daddend"] = (daddend, largest(du_size))
    return result


def fold(draw, o, i, k, epsilon, with_bias):
    weight = draw.units(o, i, k, k)
    bias = draw.units(o) if with_bias else torch.zeros(o, dtype=torch.float64)
    gamma, beta, mean, var = draw.units(o), draw.units(o), draw.units(o), draw.units(o).abs() + 0.5
    scale = gamma / (var + epsilon).sqrt()
    to_weight = weight * scale.view(-1, 1, 1, 1)
    to_bias = scale * (bias - mean) + beta
    return {
        "to_weight": (to_weight, largest(to_weight)),
        "to_bias": (to_bias, largest(scale.abs() * (bias.abs() + mean.abs()) + beta.abs())),
    }


def global_pool(draw, n, c, h, w):
    x, dy = draw.units(n, c, h, w), draw.units(n, c, 1, 1)
    y, dx = differentiate(lambda leaf: F.adaptive_avg_pool2d(leaf, 1), [x], dy)
    return {"y": (y, largest(x.abs().mean((2, 3)))), "dx": (dx, 0.0)}


def gate(draw, n, c, h, w):
    x, z, dy = draw.units(n, c, h, w), draw.units(n, c, 1, 1), draw.units(n, c, h, w)
    y, dx, dz = differentiate(lambda x, z: x * torch.sigmoid(z), [x, z], dy)
    slope = torch.sigmoid(z) * (1 - torch.sigmoid(z))
    return {
        "y": (y, largest(y)),
        "dx": (dx, largest(dx)),
        "dz": (dz, largest(slope * (dy * x).abs().sum((2, 3), keepdim=True))),
    }


def activation(draw, function, slope_size, n, c, h, w, offset=0, scale=1):
    x, dy = offset + scale * draw.units(n, c, h, w), draw.units(n, c, h, w)
    y, dx = differentiate(function, [x], dy)
    return {"y": (y, max(largest(y), slope_size)), "dx": (dx, largest(dy) * max(1, slope_size))}


def dropout(draw, n, c, h, w, rate, seed, stream, step):
    x = draw.units(n, c, h, w)
    stored = (c + 15) // 16 * 16
    index = np.arange(n * h * w).reshape(n, 1, h, w) * stored + np.arange(c).reshape(1, c, 1, 1)
    uniform = (words_at(index, seed, stream, step) >> np.uint64(8)).astype(np.float64) / 2**24
    return {"y": (x * torch.from_numpy(uniform >= rate) / (1 - rate), largest(x) / (1 - rate))}


def flatten(draw, n, c, h, w):
    x, dy = draw.units(n, c, h, w), draw.units(n, c * h * w)
    return {"y": (x.flatten(1), 0.0), "dx": (dy.view(n, c, h, w), 0.0)}


def softmax(draw, n, d, scale):
    x, dy = scale * draw.units(n, d), draw.units(n, d)
    y, dx = differentiate(lambda leaf: F.softmax(leaf, 1), [x], dy)
    return {"y": (y, largest(y)), "dx": (dx, largest(y * (dy.abs() + (y * dy.abs()).sum(1, keepdim=True))))}


def elementwise(draw, function, operands, n, c, h, w, *numbers):
    a = draw.units(n, c, h, w)
    if operands == 1:
        y = function(a.abs() if function is torch.sqrt else a, *numbers)
        return {"y": (y, largest(y) + (abs(numbers[1]) if numbers else 0))}
    b = draw.units(n, c, h, w)
    if function is torch.div:
        b = torch.where(b < 0, b - 0.5, b + 0.5)
    y = function(a, b)
    return {"y": (y, max(largest(y), largest(a)))}


def add(draw, n, c, h, w, terms):
    values = [draw.units(n, c, h, w) for _ in range(terms)]
    return {"y": (sum(values), largest(sum(value.abs() for value in values)))}


def channel(draw, n, c, h, w, offset, factor, scale):
    x, v = offset + factor * draw.units(n, c, h, w), draw.units(c)
    spread = scale * v.view(1, c, 1, 1).expand(n, c, h, w)
    return {
        "sum": (scale * x.sum((0, 2, 3)), abs(scale) * largest(x.abs().sum((0, 2, 3)))),
        "spread": (spread, largest(spread)),
    }


def metrics(losses, x, labels):
    correct = sum(int(np.argmax(row)) == label for row, label in zip(x.numpy(), labels.tolist()))
    return torch.tensor([float(losses.sum()), float(correct), float(len(labels))], dtype=torch.float64)


def class_weights(draw, d, weighted):
    return draw.units(d) + 2 + 2.0**-9 if weighted else None


def cross_entropy(draw, n, d, weighted=False):
    p, labels = 0.5 + 2.0**-12 + 0.25 * draw.units(n, d), draw.labels(n, d)
    weights = class_weights(draw, d, weighted)
    loss = lambda leaf, reduction="mean": F.nll_loss(torch.log(leaf), labels, weight=weights, reduction=reduction)
    (_, dp) = differentiate(loss, [p], None)
    losses = of_the_mean(loss(p, "none"), labels, weights)
    return {"metrics": (metrics(losses, p, labels), largest(losses.abs().sum())), "dx": (dp, 0.0)}


def softmax_cross_entropy(draw, n, d, scale, smoothing=0.0, weighted=False):
    x, labels = scale * draw.units(n, d), draw.labels(n, d)
    weights = class_weights(draw, d, weighted)
    loss = lambda leaf, reduction="mean": F.cross_entropy(
        leaf, labels, weight=weights, reduction=reduction, label_smoothing=smoothing
    )
    (_, dx) = differentiate(loss, [x], None)
    losses = of_the_mean(loss(x, "none"), labels, weights)
    most = weights.max() * n / weights[labels].sum() if weighted else 1  # what a term may be multiplied by
    size = (x.max(1)[0].abs() + x[torch.arange(n), labels].abs() + 1).sum() * most  # of the terms in the sum of the losses
    return {"metrics": (metrics(losses, x, labels), largest(size)), "dx": (dx, float(most) / n)}


def mixed(draw, n, d, scale, smoothing, mix):
    """The target of a sample is its own label and the next one's, in the shares of `mix`."""
    x, labels = scale * draw.units(n, d), draw.labels(n, d)
    partners, m = labels.roll(-1), mix / 65536
    target = (1 - m) * F.one_hot(labels, d).double() + m * F.one_hot(partners, d).double()
    loss = lambda leaf, reduction="mean": F.cross_entropy(leaf, target, reduction=reduction, label_smoothing=smoothing)
    (_, dx) = differentiate(loss, [x], None)
    losses = loss(x, "none")
    size = (2 * x.abs().max(1)[0] + 1).sum()
    return {
        "metrics": (metrics(losses, x, partners if m > 0.5 else labels), largest(size)),
        "dx": (dx, 1 / n),
    }


def of_the_mean(losses, labels, weights):
    """Losses scaled so that their plain mean is PyTorch's weighted one, which divides by the weights of the labels."""
    return losses if weights is None else losses * len(labels) / weights[labels].sum()


def optimize(draw, make, states, o, i, k):
    """states: {PyTorch's name: the largest term that may cancel in it}; gradients are below 2."""
    w = torch.nn.Parameter(draw.units(o, i, k, k))
    optimizer = make([w])
    first = largest(w.detach())
    for step in range(STEPS):
        w.grad = draw.units(o, i, k, k) / 4**step
        w.grad.view(-1)[3::7] = 0
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - 0.125 * step)
        optimizer.step()
    state = optimizer.state[w]
    result = {"w": (w.detach(), max(first, largest(w.detach())))}
    result.update({name: (state[name], largest(state[name]) + extra) for name, extra in states.items()})
    return result


def sgd(draw, o, i, k, momentum, decay, nesterov):
    make = lambda w: torch.optim.SGD(w, lr=1, momentum=momentum, weight_decay=decay, nesterov=bool(nesterov))
    return optimize(draw, make, {"momentum_buffer": 2.0} if momentum else {}, o, i, k)


def adam(draw, kind, o, i, k, beta1, beta2, epsilon, decay):
    make = lambda w: kind(w, lr=1, betas=(beta1, beta2), eps=epsilon, weight_decay=decay)
    return optimize(draw, make, {"exp_avg": 2 * (1 - beta1), "exp_avg_sq": 0.0}, o, i, k)


def lion(draw, o, i, k, beta1, beta2, decay):
    make = lambda w: optimizers.Lion(w, lr=1, betas=(beta1, beta2), weight_decay=decay)
    return optimize(draw, make, {"exp_avg": 2 * (1 - beta2)}, o, i, k)


def rounded(outputs):
    """With the copy of w that products take."""
    return {**outputs, "rounded": outputs["w"]}


def muon(draw, o, i, k, momentum, *settings):
    made = []

    def make(w):
        made.append(optimizers.Muon(w, 1, momentum, *settings))
        return made[0]

    result = optimize(draw, make, {"momentum_buffer": 2 * (1 - momentum)}, o, i, k)
    values, size = result["w"]
    result["w"] = (values, size + made[0].terms)
    return result


def average(draw, o, i, k, decay):
    """PyTorch's AveragedModel, with the decay of each step."""
    model = torch.nn.Module()
    model.w = torch.nn.Parameter(draw.units(o, i, k, k))
    step = 0

    def blend(averaged, current, count):
        d = min(decay, (1 + step) / (10 + step))
        return d * averaged + (1 - d) * current

    averaged = torch.optim.swa_utils.AveragedModel(model, avg_fn=blend)
    averaged.n_averaged += 1  # else the first update is a copy
    for step in range(STEPS):
        update = draw.units(o, i, k, k) / 4**step
        update.view(-1)[3::7] = 0
        model.w.data = update
        averaged.update_parameters(model)
    return {"w": (averaged.module.w.detach(), 2.0)}


def accumulate(draw, o, i, k, factor):
    w = draw.units(o, i, k, k)
    for step in range(STEPS):
        term = draw.units(o, i, k, k) / 4**step
        term.view(-1)[3::7] = 0
        w = (w + term) * factor
    return {"w": (w, 2.0)}


def magnitude(draw, o, i, k):
    w = draw.units(o, i, k, k)
    y = w.norm().view(1)
    return {"y": (y, largest(y))}


def clip(draw, o, i, k, limit):
    w = torch.nn.Parameter(torch.zeros(o, i, k, k, dtype=torch.float64))
    w.grad = draw.units(o, i, k, k)
    torch.nn.utils.clip_grad_norm_([w], limit)
    return {"w": (w.grad, largest(w.grad))}


# Gathered images have tests of their own (test_augment), and backends are compared with one another.
NOT_HERE = {"GATHER", "MOVED", "CHANGED"}

KINDS = {
    "CONV2D": conv2d,
    "GROUPED": conv2d,
    "LINEAR": linear,
    "MAX_POOL": lambda draw, *a: pool(draw, F.max_pool2d, *a),
    "AVERAGE_POOL": lambda draw, *a: pool(draw, F.avg_pool2d, *a),
    "GLOBAL_POOL": global_pool,
    "GATE": gate,
    "BATCHNORM": batchnorm,
    "FUSED": fused,
    "FUSED_POOL": fused,
    "FOLD": fold,
    "RELU": lambda draw, *a: activation(draw, F.relu, 0, *a),
    "LEAKY_RELU": lambda draw, *a: activation(draw, lambda x: F.leaky_relu(x, a[4]), a[4], *a[:4]),
    "ELU": lambda draw, *a: activation(draw, lambda x: F.elu(x, a[4]), a[4], *a[:4]),
    "GELU": lambda draw, *a: activation(draw, F.gelu, STEEPEST["GELU"], *a),
    "SILU": lambda draw, *a: activation(draw, F.silu, STEEPEST["SILU"], *a),
    "RELU6": lambda draw, *a: activation(draw, F.relu6, 0, *a, offset=3, scale=3),
    "DROPOUT": dropout,
    "FLATTEN": flatten,
    "SOFTMAX": softmax,
    "CROSS_ENTROPY": cross_entropy,
    "SOFTMAX_CROSS_ENTROPY": softmax_cross_entropy,
    "SMOOTHED": softmax_cross_entropy,
    "WEIGHTED": lambda draw, *a: softmax_cross_entropy(draw, *a, weighted=True),
    "MIXED": mixed,
    "WEIGHTED_CROSS_ENTROPY": lambda draw, *a: cross_entropy(draw, *a, weighted=True),
    "ADD": lambda draw, *a: elementwise(draw, torch.add, 2, *a),
    "SUBTRACT": lambda draw, *a: elementwise(draw, torch.sub, 2, *a),
    "MULTIPLY": lambda draw, *a: elementwise(draw, torch.mul, 2, *a),
    "DIVIDE": lambda draw, *a: elementwise(draw, torch.div, 2, *a),
    "SQUARE": lambda draw, *a: elementwise(draw, torch.square, 1, *a),
    "SQRT": lambda draw, *a: elementwise(draw, torch.sqrt, 1, *a),
    "AFFINE": lambda draw, *a: elementwise(draw, lambda x, scale, shift: scale * x + shift, 1, *a),
    "SUM": add,
    "CHANNEL": channel,
    "SGD": sgd,
    "ADAM": lambda draw, *a: adam(draw, torch.optim.Adam, *a),
    "ROUNDED_ADAM": lambda draw, *a: rounded(adam(draw, torch.optim.Adam, *a)),
    "ADAMW": lambda draw, *a: adam(draw, torch.optim.AdamW, *a),
    "LION": lion,
    "MUON": muon,
    "MUON_NORMALIZED": lambda draw, o, i, k, momentum, steps: muon(draw, o, i, k, momentum, 0, True, False, steps, True),
    "AVERAGE": average,
    "ACCUMULATE": accumulate,
    "MAGNITUDE": magnitude,
    "CLIP": clip,
}

# --- reading the list, writing the file ---


def number_of(text):
    """A number, or a name such as RELU as it is."""
    if re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", text):
        return int(text, 0)
    return text if text.isidentifier() else float(text)


def read_cases(brief, path):
    """The lines of the self-test's cases, and those of the list that begins with them."""
    table = re.search(r"op_case cases\[\] = \{(.*?)\n\};", path.read_text(), re.DOTALL).group(1)
    table = brief.read_text() + table
    table = re.sub(r"/\*.*?\*/", "", table, flags=re.DOTALL)
    for kind, arguments in re.findall(r"(\w+)\(([^()]*)\)", table):
        texts = [text.strip() for text in arguments.split(",")]
        if kind in NOT_HERE:
            continue
        numbers = [number_of(text) for text in texts]
        yield f"{kind}({', '.join(texts)})", kind, numbers


def pack_string(text):
    return struct.pack("<I", len(text.encode())) + text.encode()


def pack_array(name, seed, values, magnitude):
    flat = values.contiguous().view(-1).numpy()
    stored = flat
    if flat.size > WHOLE:
        samples = flat[(words(SAMPLES, seed, SAMPLE_STREAM) % np.uint64(flat.size)).astype(np.int64)]
        signed = flat * (1 - 2 * (words(flat.size, seed, SIGN_STREAM) & np.uint64(1)).astype(np.float64))
        ends = [part * flat.size // SEGMENTS for part in range(SEGMENTS + 1)]
        stored = np.concatenate([samples, [signed[a:b].sum() for a, b in zip(ends, ends[1:])]])
    assert np.isfinite(stored).all() and np.isfinite(magnitude), name
    return (pack_string(name) + struct.pack("<QdI", flat.size, magnitude, stored.size) + stored.astype("<f8").tobytes())


def main():
    check_philox()
    torch.manual_seed(0)
    folder = pathlib.Path(__file__).resolve().parent
    records = []
    for name, kind, numbers in read_cases(folder.parents[1] / "src/self_test/brief_cases.h", folder.parent / "op_cases.c"):
        arrays = KINDS[kind](Inputs(name), *numbers)
        packed = [pack_array(array, seed_of(name), *pair) for array, pair in arrays.items()]
        records.append(pack_string(name) + struct.pack("<I", len(packed)) + b"".join(packed))
    content = b"OPSREF01" + struct.pack("<I", len(records)) + b"".join(records)
    (folder / "ops.bin").write_bytes(content)
    print(f"ops.bin: {len(records)} cases, {len(content)} bytes, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
