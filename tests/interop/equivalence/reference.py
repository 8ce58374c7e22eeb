"""A training run as the trainer's documentation describes it, by PyTorch's own modules, losses, optimizers and schedules."""

import os
import sys
import warnings

import numpy
import torch
import torch.nn.functional as functional
from torch import nn

import changes
import draws
from images import normalization

INTEROP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [INTEROP, os.path.join(os.path.dirname(INTEROP), "ref")]
from optimizers import Lion, Muon  # noqa: E402
from pytorch_network import Layers  # noqa: E402

EVALUATION_BATCH = {"convnet": 128, "mlp": 512}  # with train.eval_batch_size = 0; batch statistics depend on it


class CountedDropout(nn.Module):
    """Dropout with the trainer's mask, a function of the seed, the layer's number and the step."""

    def __init__(self, rate):
        super().__init__()
        self.rate, self.seed, self.layer, self.step = rate, 0, 0, 0

    def forward(self, x):
        if not self.training:
            return x
        mask = draws.dropout_mask(tuple(x.shape), self.rate, self.seed, self.layer, self.step)
        return x * torch.from_numpy(mask).to(x.dtype) / (1 - self.rate)


class Network(nn.Module):
    def __init__(self, settings, shape, classes):
        super().__init__()
        self.layers = Layers(settings.section("model"), *shape, classes, CountedDropout)
        for number, layer in enumerate(self.layers):
            if isinstance(layer, CountedDropout):
                layer.seed, layer.layer = settings.whole("experiment.seed"), number

    def forward(self, x):
        return self.layers(x)

    def state(self):
        """Parameters and running statistics under the names of a checkpoint; copies."""
        return {name: value.detach().clone() for name, value in self.state_dict().items() if "num_batches" not in name}

    def draw_masks_of(self, step):
        for layer in self.layers:
            if isinstance(layer, CountedDropout):
                layer.step = step


def initial_state(settings, shape, classes):
    """PyTorch's random start, with batch normalizations that are not at their neutral values either."""
    torch.manual_seed(3)
    network = Network(settings, shape, classes).double()
    for layer in network.layers:
        if not isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            continue
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.normal_(layer.bias, std=0.3)
        if layer.running_mean is not None:
            nn.init.normal_(layer.running_mean, std=0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return {name: value.numpy() for name, value in network.state().items()}


class MuonAndRest:
    """Muon for the weights of all layers but the last, AdamW or SGD for the rest; one state, and one rate for a schedule to
    move."""

    def __init__(self, settings, named, rate, betas, decay):
        named = dict(named)
        last = [name for name, parameter in named.items() if parameter.ndim > 1][-1]
        hidden = [parameter for name, parameter in named.items() if parameter.ndim > 1 and name != last]
        rest = [parameter for name, parameter in named.items() if parameter.ndim == 1 or name == last]
        nesterov, kind = settings.flag("optimizer.nesterov"), settings.text("optimizer.rest")
        self.share = (settings.real(f"optimizer.{kind}_learning_rate") or rate) / rate
        matched = settings.text("optimizer.adjust_rate") == "match_rms_adamw"
        self.muon = Muon(hidden, rate, settings.real("optimizer.momentum"), decay, nesterov, matched,
                         settings.whole("optimizer.ns_steps"), settings.flag("optimizer.normalize_weights"))
        if kind == "adamw":
            self.rest = torch.optim.AdamW(rest, rate, betas, settings.real("optimizer.epsilon"), decay)
        else:
            momentum = settings.real("optimizer.sgd_momentum")
            self.rest = torch.optim.SGD(rest, rate, momentum, weight_decay=decay, nesterov=nesterov and momentum > 0)
        self.zero_grad = lambda: (self.muon.zero_grad(), self.rest.zero_grad())
        self.scheduled, self.param_groups = self.muon, self.muon.param_groups

    @property
    def state(self):
        return {**self.muon.state, **self.rest.state}

    def step(self):
        self.rest.param_groups[0]["lr"] = self.share * self.muon.param_groups[0]["lr"]
        self.muon.step()
        self.rest.step()


def make_optimizer(settings, named):
    rate, decay = settings.real("optimizer.learning_rate"), settings.real("optimizer.weight_decay")
    named = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    parameters = [parameter for _, parameter in named]
    name = settings.text("optimizer.name")
    if name == "sgd":
        return torch.optim.SGD(parameters, rate, settings.real("optimizer.momentum"), weight_decay=decay,
                               nesterov=settings.flag("optimizer.nesterov"))
    betas = settings.real("optimizer.beta1"), settings.real("optimizer.beta2")
    if name == "lion":
        return Lion(parameters, rate, betas, decay)
    if name == "muon":
        return MuonAndRest(settings, named, rate, betas, decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(parameters, rate, betas, settings.real("optimizer.epsilon"), decay)


def make_schedule(settings, optimizer):
    """Warm-up from base / warmup_steps to base, then the schedule over the steps that are left."""
    schedules, base = torch.optim.lr_scheduler, settings.real("optimizer.learning_rate")
    warm_up, minimum = settings.whole("schedule.warmup_steps"), settings.real("schedule.minimum")
    rest = settings.whole("train.max_steps") - warm_up
    after = {
        "constant": lambda: schedules.ConstantLR(optimizer, 1.0, 1),
        "step": lambda: schedules.StepLR(optimizer, settings.whole("schedule.step_size"), settings.real("schedule.gamma")),
        "cosine": lambda: schedules.CosineAnnealingLR(optimizer, rest, minimum),
        "linear": lambda: schedules.LinearLR(optimizer, 1.0, minimum / base, rest),
    }[settings.text("schedule.name")]
    if warm_up == 0:
        return after()
    first = schedules.LinearLR(optimizer, 1 / warm_up, 1.0, max(warm_up - 1, 1))
    if warm_up == 1:
        first = schedules.ConstantLR(optimizer, 1.0, 1)
    return schedules.SequentialLR(optimizer, [first, after()], [warm_up])


def class_weights(settings, labels, classes, dtype):
    """The weights of the classes in the training loss; None: all are 1."""
    text = settings.text("train.class_weights")
    if text == "none":
        return None
    if text == "balanced":
        return torch.from_numpy(len(labels) / (classes * numpy.bincount(labels, minlength=classes))).to(dtype)
    return torch.tensor([float(weight) for weight in text.split(",")], dtype=dtype)


def mixed_loss(logits, labels, share, smoothing, weights):
    """The mean loss where the label of the next sample has this share of a sample's: the losses of both by their shares, over
    the weights of both."""
    loss, total = 0.0, 0.0
    for part, wanted in ((1 - share, labels), (share, labels.roll(-1))):
        loss += part * functional.cross_entropy(logits, wanted, weights, label_smoothing=smoothing, reduction="sum")
        total += part * (len(labels) if weights is None else weights[wanted].sum())
    return loss / total


def mean_loss(settings, logits, labels, smoothing=0.0, weights=None, reduction="mean"):
    if settings.text("model.loss") == "separate":
        return functional.nll_loss(torch.log_softmax(logits, 1), labels, weights, reduction=reduction)
    return functional.cross_entropy(logits, labels, weights, label_smoothing=smoothing, reduction=reduction)


class Run:
    """Training in the precision `dtype` from the weights `state`. parts: "train", "test" and perhaps "val" -> Part."""

    def __init__(self, settings, parts, classes, state, dtype):
        self.settings, self.dtype, train = settings, dtype, parts["train"]
        offset, scale = normalization(settings.text("data.normalization"), train.images)
        real = numpy.float64 if dtype == torch.float64 else numpy.float32
        self.sets = {name: ((part.images.astype(real) - offset) * scale.astype(real)[:, None, None], part.labels)
                     for name, part in parts.items()}
        self.changes, self.bytes, self.scaling = changes.Changes(settings, len(train.labels)), train.images, (offset, scale)
        self.weights = class_weights(settings, train.labels, classes, dtype)
        shape = train.images.shape[1:]
        self.network, self.evaluated = (Network(settings, shape, classes).to(dtype) for _ in range(2))
        tensors = {name: torch.from_numpy(value).to(dtype) for name, value in state.items()}
        self.network.load_state_dict(tensors, strict=False)
        self.optimizer = make_optimizer(settings, self.network.named_parameters())
        with warnings.catch_warnings():  # about calls inside of PyTorch's own schedules
            warnings.simplefilter("ignore")
            self.schedule = make_schedule(settings, getattr(self.optimizer, "scheduled", self.optimizer))
        self.decay = settings.real("train.ema_decay")
        self.average = self.network.state() if self.decay > 0 else None
        self.steps_done, self.rate = 0, settings.real("optimizer.learning_rate")

    def steps_per_epoch(self):
        """A tail that does not fill a batch is dropped."""
        return len(self.sets["train"][1]) // self.settings.whole("train.batch_size")

    def batch(self):
        labels = self.sets["train"][1]
        size, seed = self.settings.whole("train.batch_size"), self.settings.whole("experiment.seed")
        epoch, place = divmod(self.steps_done, self.steps_per_epoch())
        order = draws.epoch_order(len(labels), seed, epoch, self.settings.text("data.first_epoch"))
        samples = order[place * size:(place + 1) * size]
        pixels, share = self.changed(samples) if self.changes.any() else (self.augmented(samples), 0.0)
        return pixels, torch.from_numpy(labels[samples]).long(), share

    def changed(self, samples):
        """The batch of images that are changed as whole images, and the share of the second labels."""
        real = numpy.float64 if self.dtype == torch.float64 else numpy.float32
        offset, scale = self.scaling
        chosen, holes, share = changes.batch(self.changes, self.steps_done, samples, self.bytes)
        pixels = (chosen.astype(real) - offset) * scale.astype(real)[:, None, None]
        return torch.from_numpy(numpy.where(holes[:, None], real(0), pixels)), share

    def augmented(self, samples):
        settings, pixels = self.settings, self.sets["train"][0]
        changes = settings.text("augment.flip"), settings.whole("augment.crop"), settings.whole("augment.cutout")
        chosen = pixels[samples]
        if changes != ("false", 0, 0):
            moment = self.steps_done, self.steps_per_epoch(), settings.whole("experiment.seed")
            chosen = numpy.stack([draws.augmented(pixels[i], i, *moment, *changes) for i in samples])
        return torch.from_numpy(numpy.ascontiguousarray(chosen))

    def step(self):
        self.network.train()
        self.network.draw_masks_of(self.steps_done)
        pixels, labels, share = self.batch()
        self.optimizer.zero_grad()
        smoothing = self.settings.real("train.label_smoothing")
        logits = self.network(pixels)
        loss = mixed_loss(logits, labels, share, smoothing, self.weights) if share > 0 else \
            mean_loss(self.settings, logits, labels, smoothing, self.weights)
        loss.backward()
        if self.settings.real("train.clip_norm") > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.real("train.clip_norm"))
        self.rate = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.schedule.step()
        self.move_average()
        self.steps_done += 1

    def move_average(self):
        if self.average is None:
            return
        decay = min(self.decay, (1 + self.steps_done) / (10 + self.steps_done))
        for name, value in self.network.state().items():
            self.average[name] += (1 - decay) * (value - self.average[name])

    def evaluate(self):
        """The figures of every part, by the columns of metrics.csv."""
        self.evaluated.load_state_dict(self.average or self.network.state(), strict=False)
        self.evaluated.eval()
        with torch.no_grad():
            return {f"{name}_{kind}": figure for name, part in self.sets.items()
                    for kind, figure in zip(("loss", "accuracy"), self.evaluate_set(*part))}

    def evaluate_set(self, pixels, labels):
        """A tail is evaluated within the last `size` samples, so that statistics of the batch are those of a whole batch."""
        size = self.settings.whole("train.eval_batch_size") or EVALUATION_BATCH[self.settings.text("model.kind")]
        loss, hits = 0.0, 0
        for first in range(0, len(labels), size):
            begin = max(min(first, len(labels) - size), 0)
            logits = self.evaluated(torch.from_numpy(pixels[begin:begin + size]))[first - begin:]
            wanted = torch.from_numpy(labels[first:first + size]).long()
            loss += float(mean_loss(self.settings, logits, wanted, reduction="sum"))
            hits += int((logits.argmax(1) == wanted).sum())
        return loss / len(labels), hits / len(labels)

    def tensors(self):
        """Everything that a checkpoint of this step holds, under its names there."""
        prefix = "training." if self.average else ""
        found = {prefix + name: value for name, value in self.network.state().items()}
        found.update(self.average or {})
        for name, parameter in self.network.named_parameters():
            for moment in ("momentum_buffer", "exp_avg", "exp_avg_sq"):
                value = self.optimizer.state.get(parameter, {}).get(moment)
                if value is not None:
                    found[f"optimizer.{moment}.{name}"] = value
        return {name: value.detach().double().numpy().copy() for name, value in found.items()}
