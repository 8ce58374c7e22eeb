"""The optimizers that not every PyTorch has, as src/backend/optimizer_row.h defines them."""

import torch


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2."""

    def __init__(self, parameters, lr, betas, weight_decay):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for w in group["params"]:
                m = self.state[w].setdefault("exp_avg", torch.zeros_like(w))
                direction = torch.sign(beta1 * m + (1 - beta1) * w.grad)
                w -= group["lr"] * (direction + group["weight_decay"] * w)
                m.copy_(beta2 * m + (1 - beta2) * w.grad)


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon of PyTorch 2.9, for filters as matrices of O rows, and in the precision of the weights."""

    def __init__(self, parameters, lr, momentum, weight_decay, nesterov, match_rms_adamw, ns_steps=5, normalize=False):
        super().__init__(parameters, {"lr": lr})
        self.ns_steps, self.normalize = ns_steps, normalize
        self.momentum, self.weight_decay = momentum, weight_decay
        self.nesterov, self.match_rms_adamw = nesterov, match_rms_adamw
        self.terms = 0.0  # the largest sum of absolute terms that make up a weight's steps

    def orthogonalized(self, update):
        """X, and the largest sum of absolute terms of an element. What an iteration is off by grows in the later ones as
        the smallest singular values do, by 3.4445 at most."""
        wide = update.shape[0] <= update.shape[1]
        x = update if wide else update.T
        x = x / x.norm().clamp(min=1e-7)
        a, b, c = 3.4445, -4.7750, 2.0315
        terms = torch.zeros_like(x)
        for _ in range(self.ns_steps):
            gram, size = x @ x.T, x.abs() @ x.abs().T
            polynomial, sizes = b * gram + c * gram @ gram, -b * size + c * size @ size
            terms = a * terms + a * x.abs() + sizes @ x.abs()
            x = a * x + polynomial @ x
        return x if wide else x.T, float(terms.max())

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                buffer = self.state[w].setdefault("momentum_buffer", torch.zeros_like(w))
                buffer.lerp_(w.grad, 1 - self.momentum)
                update = w.grad.lerp(buffer, self.momentum) if self.nesterov else buffer
                x, terms = self.orthogonalized(update.flatten(1))
                rows, columns = x.shape
                scale = 0.2 * max(rows, columns) ** 0.5 if self.match_rms_adamw else max(1, rows / columns) ** 0.5
                if self.normalize:
                    w *= len(w) ** 0.5 / w.norm()
                w *= 1 - group["lr"] * self.weight_decay
                w -= group["lr"] * scale * x.reshape(w.shape)
                self.terms += group["lr"] * scale * terms
