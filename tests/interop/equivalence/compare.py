"""One case: the trainer and PyTorch train from the same weights, and every figure of the two is compared.

In double precision the two differ by rounding alone, which a run amplifies: a bias right before a batch normalization has a
gradient of 0 but for rounding, and Adam divides by its size. So where they differ by more than the bounds, PyTorch trains once
more from weights that are moved by 1e-15 of their size, and the two may differ by as much as that run differs from its twin.

In single precision a run also jumps where rounding decides a ReLU or a maximum otherwise, by up to a hundredth of its loss, and
so does PyTorch's. So where the two differ by more than the bound, both train once more from weights that are moved by 6e-8 of
their size, up to SINGLE_STARTS times; the runs that jump the least are compared."""

import os
import shutil

import numpy
import torch

import draws
import images
from reference import Run, initial_state
from subject import Subject

TENSOR_BOUND = 1e-9    # of the largest element of a tensor
FIGURE_BOUND = 5.1e-9  # metrics.csv has nine digits
LEAST_LOSS = {"fused": 1e-12, "separate": 1e-7}  # a loss may be 0; the logarithm of a rounded probability has no more digits
AMPLIFIED = 30         # times the distance between PyTorch and its moved twin
SINGLE_AMPLIFIED = 20  # in fp32: times the distance between PyTorch in fp32 and in fp64
SINGLE_ALLOWANCE = 1e-6
SINGLE_STARTS = 8


class Differences:
    """The largest difference of each kind over the whole run."""

    def __init__(self):
        self.worst = {"parameters": 0.0, "statistics": 0.0, "moments": 0.0, "rate": 0.0, "loss": 0.0, "accuracy": 0.0}
        self.faults = []

    def add(self, kind, value):
        self.worst[kind] = max(self.worst[kind], value if numpy.isfinite(value) else numpy.inf)

    def tensors(self):
        return max(self.worst[kind] for kind in ("parameters", "statistics", "moments"))

    def figures(self):
        return max(self.worst[kind] for kind in ("rate", "loss", "accuracy"))

    def text(self):
        return " ".join(f"{kind} {value:.0e}" for kind, value in self.worst.items()) + "".join(
            f"; {fault}" for fault in self.faults)


def relative(found, wanted):
    largest = numpy.abs(wanted).max(initial=0)
    return float(numpy.abs(found - wanted).max(initial=0) / largest) if largest > 1e-12 else 0.0


def kind_of(name):
    if name.startswith("optimizer."):
        return "moments"
    return "statistics" if "running" in name else "parameters"


def reference_record(subject, parts, weights, dtype):
    """step -> (figures of the evaluation, learning rate, tensors), for each step that the trainer evaluates."""
    settings, record = subject.settings, {}
    run = Run(settings, parts, images.SHAPES[settings.text("data.dataset")][0], weights, dtype)
    last, frequency = settings.whole("train.max_steps"), settings.whole("train.eval_freq")
    for step in range(last + 1):
        if step > 0:
            run.step()
        if step % frequency == 0 or step == last:
            record[step] = run.evaluate(), run.rate, run.tensors() if step > 0 else {}
    return record, run.steps_per_epoch()


def compare_figures(row, figures, rate, least_loss, differences):
    for column, wanted in figures.items():
        if column.endswith("loss"):
            differences.add("loss", abs(row[column] - wanted) / max(abs(wanted), least_loss))
        else:
            differences.add("accuracy", abs(row[column] - wanted))
    if row["step"] > 0:
        differences.add("rate", abs(row["learning_rate"] - rate) / max(rate, 1e-12))


def compare_tensors(found, wanted, differences):
    differing = {name for name in found if not name.startswith("input.")} ^ set(wanted)
    if differing:
        differences.faults.append(f"tensors on one side only: {', '.join(sorted(differing)[:3])}")
    for name in set(wanted) & set(found):
        differences.add(kind_of(name), relative(found[name], wanted[name]))


def compare_run(subject, record, steps_per_epoch):
    differences, rows = Differences(), subject.rows()
    if [row["step"] for row in rows] != list(record):
        differences.faults.append(f"evaluated at the steps {[int(row['step']) for row in rows]}")
        return differences
    for row in rows:
        figures, rate, tensors = record[int(row["step"])]
        compare_figures(row, figures, rate, LEAST_LOSS[subject.settings.text("model.loss")], differences)
        if int(row["epoch"]) != int(row["step"]) // steps_per_epoch:
            differences.faults.append(f"epoch {row['epoch']:.0f} at step {row['step']:.0f}")
        if tensors:
            compare_tensors(subject.tensors(int(row["step"])), tensors, differences)
    return differences


def distance(record, twin):
    """The largest relative difference of a tensor, and of a loss, between two references."""
    tensors = max(relative(twin[step][2][name], values) for step in record for name, values in record[step][2].items())
    losses = max(abs(twin[step][0][column] - figure) / max(figure, 1e-12) for step in record
                 for column, figure in record[step][0].items() if column.endswith("loss"))
    return tensors, losses


def moved(weights, share, seed=0):
    random = numpy.random.default_rng(seed)
    return {name: values * (1 + share * random.standard_normal(values.shape)) for name, values in weights.items()}


def best_of(record):
    """The first step of the highest accuracy, of the validation set where there is one, else of the test set."""
    column = "val_accuracy" if "val_accuracy" in record[0][0] else "test_accuracy"
    return max(record, key=lambda step: (record[step][0][column], -step))


def is_amplified_rounding(differences, subject, parts, weights, record):
    twin, _ = reference_record(subject, parts, moved(weights, 1e-15), torch.float64)
    tensors, losses = distance(record, twin)
    return (not differences.faults and differences.tensors() <= AMPLIFIED * tensors
            and differences.worst["loss"] <= FIGURE_BOUND + AMPLIFIED * losses)


def compare_double(subject, parts, weights):
    record, steps_per_epoch = reference_record(subject, parts, weights, torch.float64)
    subject.train(weights)
    differences = compare_run(subject, record, steps_per_epoch)
    if subject.best_step() != best_of(record):
        differences.faults.append(f"best at step {subject.best_step()}, expected {best_of(record)}")
    good = not differences.faults and differences.tensors() <= TENSOR_BOUND and differences.figures() <= FIGURE_BOUND
    return good or is_amplified_rounding(differences, subject, parts, weights, record), differences


def compare_single(subject, parts, weights):
    """fp32 against PyTorch in fp64: the losses may be off by as much as PyTorch's own in fp32 are, times a factor."""
    best, bound = None, numpy.inf
    for seed in range(SINGLE_STARTS):
        start = moved(weights, 6e-8, seed) if seed > 0 else weights
        record, steps_per_epoch = reference_record(subject, parts, start, torch.float64)
        _, losses = distance(record, reference_record(subject, parts, start, torch.float32)[0])
        bound = min(bound, SINGLE_AMPLIFIED * losses + SINGLE_ALLOWANCE)
        subject.train(start)
        differences = compare_run(subject, record, steps_per_epoch)
        if differences.faults:
            return False, differences
        if best is None or differences.worst["loss"] < best.worst["loss"]:
            best = differences
        if best.worst["loss"] <= bound:
            return True, best
    return False, best


def parts_of(settings, train, test):
    """The sets of a run by the names of their columns in metrics.csv."""
    size = settings.whole("data.validation_size")
    if size == 0:
        return {"train": train, "test": test}
    chosen = draws.held_out(train.labels, size, settings.whole("experiment.seed"))
    return {"train": train.chosen(~chosen), "val": train.chosen(chosen), "test": test}


def compare_case(trainer, folder, image_folder, changes, precision, reference_changes=None):
    """Whether the two agree, and by how much they differ. reference_changes: keys that PyTorch alone shall have."""
    folder = os.path.join(folder, precision)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    subject = Subject(trainer, folder, image_folder, {**changes, "backend.precision": precision})
    subject.settings.values.update(reference_changes or {})
    shape = images.SHAPES[subject.settings.text("data.dataset")]
    train, test = images.make_set(*shape)
    weights = initial_state(subject.settings, shape[1:], shape[0])
    compare = compare_double if precision == "fp64" else compare_single
    found = compare(subject, parts_of(subject.settings, train, test), weights)
    shutil.rmtree(folder)
    return found
