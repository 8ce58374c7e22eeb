"""The options, one at a time and in the combinations that share code: name -> changes to subject.BASE."""

import configparser
import itertools
import pathlib

BATCHNORM = {"model.batchnorm": "custom"}
MOMENTUM = {"optimizer.momentum": "0.9"}
NESTEROV = {**MOMENTUM, "optimizer.nesterov": "true"}
DECAY = {"optimizer.weight_decay": "0.05"}
ADAM = {"optimizer.name": "adam", "optimizer.learning_rate": "2e-3"}
ADAMW = {"optimizer.name": "adamw", "optimizer.learning_rate": "2e-3"}
MUON = {"optimizer.name": "muon", "optimizer.learning_rate": "2e-3"}
LION = {"optimizer.name": "lion", "optimizer.learning_rate": "1e-3"}
PERCEPTRON = {"model.kind": "mlp", "model.features": "", "model.hidden": "24, 16", "optimizer.learning_rate": "0.02"}
COLOUR = {"data.dataset": "cifar10"}
AUGMENT = {"augment.flip": "true", "augment.crop": "4", "augment.cutout": "8"}
PICTURES = {**COLOUR, **AUGMENT, "augment.vertical_flip": "true", "augment.rotate": "20", "augment.scale": "0.2",
            "augment.resized_crop": "0.4", "augment.brightness": "0.3", "augment.contrast": "0.3", "augment.saturation": "0.3",
            "augment.erase": "0.4", "augment.mixup": "0.2", "augment.cutmix": "1", "data.normalization": "mean_image",
            "optimizer.learning_rate": "1e-4"}
STRONG = {**COLOUR, **BATCHNORM, **NESTEROV, **AUGMENT, "model.features": "16, 16, M2, 16, M2, A8", "model.dropout": "0.1",
          "optimizer.weight_decay": "5e-4", "schedule.name": "linear", "schedule.warmup_steps": "5",
          "train.label_smoothing": "0.1", "train.ema_decay": "0.995", "train.clip_norm": "5"}


def one(key, value, *others):
    """The change of one key, over `others`."""
    return dict(itertools.chain(*(other.items() for other in others), [(key, value)]))


def optimizers():
    yield "sgd", {}
    yield "sgd, weight decay", DECAY
    yield "sgd, momentum", MOMENTUM
    yield "sgd, momentum, weight decay", {**MOMENTUM, **DECAY}
    yield "sgd, nesterov, weight decay", {**NESTEROV, **DECAY}
    yield "sgd, nesterov, weight decay, batchnorm", {**NESTEROV, **DECAY, **BATCHNORM}
    yield "adam", ADAM
    yield "adam, weight decay", {**ADAM, **DECAY}
    yield "adam, weight decay, batchnorm", {**ADAM, **DECAY, **BATCHNORM}
    yield "adam, betas", {**ADAM, "optimizer.beta1": "0.5", "optimizer.beta2": "0.9", "optimizer.epsilon": "1e-3"}
    yield "adam, betas of 0", {**ADAM, "optimizer.beta1": "0", "optimizer.beta2": "0"}
    yield "adamw", ADAMW
    yield "adamw, weight decay", {**ADAMW, "optimizer.weight_decay": "0.5"}
    yield "adamw, betas, batchnorm", {**ADAMW, **BATCHNORM, "optimizer.weight_decay": "0.5", "optimizer.beta1": "0.8",
                                      "optimizer.beta2": "0.95", "optimizer.epsilon": "1e-6"}
    yield "lion", LION
    yield "lion, weight decay", {**LION, "optimizer.weight_decay": "0.5"}
    yield "lion, betas", {**LION, "optimizer.beta1": "0.8", "optimizer.beta2": "0.95"}
    yield "muon", MUON
    yield "muon, batchnorm, weight decay", {**MUON, **BATCHNORM, "optimizer.weight_decay": "0.5"}
    yield "muon, original, own rate of adamw", {**MUON, "optimizer.adjust_rate": "original", "optimizer.learning_rate": "0.01",
                                                "optimizer.adamw_learning_rate": "2e-3", "schedule.name": "linear"}
    yield "muon, normalized weights, sgd for the rest", {
        **MUON, **BATCHNORM, **DECAY, "optimizer.ns_steps": "3", "optimizer.normalize_weights": "true",
        "optimizer.adjust_rate": "original", "optimizer.rest": "sgd", "optimizer.sgd_learning_rate": "0.05",
        "optimizer.sgd_momentum": "0.85"}
    yield "muon, perceptron, no nesterov, momentum", {**PERCEPTRON, **MUON, "optimizer.momentum": "0.8",
                                                      "optimizer.nesterov": "false"}


def schedules():
    for name in ("step", "cosine", "linear"):
        for warm_up, minimum in itertools.product((0, 1, 6), ("0",) if name == "step" else ("0", "0.01")):
            yield f"{name}, warm-up {warm_up}, minimum {minimum}", {
                **PERCEPTRON, "schedule.name": name, "schedule.warmup_steps": str(warm_up), "schedule.minimum": minimum,
                "schedule.step_size": "4", "schedule.gamma": "0.5", "optimizer.learning_rate": "0.05"}
    yield "constant, warm-up 6", one("schedule.warmup_steps", "6", PERCEPTRON)
    yield "cosine, warm-up 19 of 20", {**PERCEPTRON, "schedule.name": "cosine", "schedule.warmup_steps": "19"}
    yield "linear, adam, warm-up 5, batchnorm", {**ADAM, **BATCHNORM, "schedule.name": "linear", "schedule.warmup_steps": "5"}


def speed_recipe():
    """The parts of configs/speedrun.ini that other cases do not have, alone and together."""
    pools = {"model.features": "8M2, 12M2s1, 6A3s1p1", **BATCHNORM, "model.conv_bias": "auto"}
    yield "pools before the block", pools
    yield "a whitening layer, scores without a bias", {**COLOUR, "model.features": "W2, 8M2, 12, A4", "model.head_bias": "false"}
    yield "the parts of speedrun.ini", {
        **COLOUR, **BATCHNORM, **MUON, "model.features": "W2, 8M2, 8, 12M2, 12, M3", "model.conv_bias": "auto",
        "model.activation": "gelu", "model.batchnorm_epsilon": "1e-12", "model.batchnorm_momentum": "0.4",
        "model.head_bias": "false", "augment.flip": "alternating", "augment.crop": "2", "optimizer.learning_rate": "0.05",
        "optimizer.momentum": "0.6", "optimizer.ns_steps": "3", "optimizer.normalize_weights": "true",
        "optimizer.adjust_rate": "original", "optimizer.rest": "sgd", "optimizer.sgd_learning_rate": "0.05",
        "optimizer.sgd_momentum": "0.85", "schedule.name": "linear", "train.label_smoothing": "0.2"}


def batch_normalizations():
    for kind in ("custom", "autodiff"):
        batchnorm = {"model.batchnorm": kind}
        yield f"batchnorm {kind}", batchnorm
        yield f"batchnorm {kind}, perceptron", {**PERCEPTRON, **batchnorm}
        yield f"batchnorm {kind}, momentum 0.4, epsilon 0.05", {
            **batchnorm, "model.batchnorm_momentum": "0.4", "model.batchnorm_epsilon": "0.05"}
        yield f"batchnorm {kind}, momentum 1", one("model.batchnorm_momentum", "1", batchnorm)
        yield f"batchnorm {kind}, statistics of the batch", {
            **batchnorm, "model.batchnorm_batch_stats_only": "true", "train.eval_batch_size": "29"}
        yield f"batchnorm {kind}, moving average", one("train.ema_decay", "0.9", batchnorm)
    yield "batchnorm custom, not fused", one("backend.fuse", "false", BATCHNORM)


def blocks():
    for order in itertools.permutations(("batchnorm", "activation", "dropout")):
        yield "block " + ", ".join(order), {**BATCHNORM, "model.block": ", ".join(order), "model.dropout": "0.25"}
    yield "dropout, perceptron", one("model.dropout", "0.1", PERCEPTRON)
    for activation, slope in (("relu", "0"), ("relu6", "0"), ("leaky_relu", "0"), ("leaky_relu", "0.3"), ("leaky_relu", "1.5"), ("elu", "0"),
                              ("elu", "0.4"), ("gelu", "0"), ("silu", "0")):
        for batchnorm in ({}, BATCHNORM):
            yield f"{activation}, slope {slope}{', batchnorm' if batchnorm else ''}", {
                **batchnorm, "model.activation": activation, "model.activation_slope": slope}


WINDOWS = ("8, M", "8, M2, 8, M2", "8, M3s2p1", "8, M4s3p2", "8, A2", "8, A3s2p1, 8, A8", "8, A5s1p2, M4", "8k1, M4", "8k5, M4",
           "8k7, M4", "8k7s2p0, M", "8s2, 8s2, A", "8k5s2p2, M", "8k3p0, 8k3p2, M2", "8k3s3p1, M", "8k2, M2", "8k4s2p1, M2",
           "8k1s2p0, 6k1p1, M2", "8k3p5, M4", "20, M2, 33, M2, 17, M", "A4, 8, M", "M, 8, A3s1p1")


def features():
    for windows in WINDOWS:
        yield f"features {windows}", one("model.features", windows)
        yield f"features {windows}, batchnorm", one("model.features", windows, BATCHNORM)
    yield "features down to one pixel, colour", {**COLOUR, "model.features": "8, M, 8, M, 8, M, 8, M, 8, M, A"}
    yield "features, hidden layers", {**BATCHNORM, "model.features": "8, M, 8, M4", "model.hidden": "20, 12"}
    yield "perceptron, no hidden layer", one("model.hidden", "", PERCEPTRON)


def groups():
    depthwise = {"model.features": "8, 8g8, 12k1, 12k5s2g12, 16k1, M2, 16g16, A", "model.conv_bias": "auto"}
    yield "depthwise", depthwise
    yield "depthwise, batchnorm, colour, adamw, weight decay", {**BATCHNORM, **depthwise, **COLOUR, **ADAMW, **DECAY}
    yield "groups, batchnorm, nesterov", {**BATCHNORM, **NESTEROV, "model.features": "16, 32s2g4, 48k1g2, 48k3p0g16, G"}
    yield "groups, residual, muon, clipped", {**BATCHNORM, **MUON, "train.clip_norm": "1",
                                              "model.features": "16, (16k1, 16g16, 24k1)+, (12k1, 12s2g3, 24k1)+ x2, G"}


RESIDUAL = {"model.features": "8, (8, 8)+, (12s2, 12)+ x2, G"}


def residual():
    bottlenecks = {"model.features": "M, (6k1, 6, 16k1)+ x2, (8k1, 8s2, 20k1)+ x2, M, (20)+"}
    yield "residual", RESIDUAL
    yield "residual, batchnorm", {**BATCHNORM, **RESIDUAL}
    yield "residual, no biases before batchnorm, colour, nesterov, weight decay", {
        **BATCHNORM, **RESIDUAL, **COLOUR, **NESTEROV, **DECAY, "model.conv_bias": "auto"}
    yield "residual, bottlenecks, batchnorm autodiff", {**bottlenecks, "model.batchnorm": "autodiff", "model.conv_bias": "auto"}
    yield "residual, bottlenecks, no biases", {**bottlenecks, "model.conv_bias": "false"}
    for form in ("preactivation", "linear"):
        features = {"model.residual": form, "model.features": "8, (8, 8)+ x2, (12s2, 12)+ x2, 9, (9)+, M2, (9k1, 11)+, G"}
        yield f"residual, {form}", features
        yield f"residual, {form}, batchnorm, no biases, head dropout", {
            **BATCHNORM, **features, **COLOUR, "model.conv_bias": "auto", "model.dropout": "0.1", "model.head_dropout": "0.3"}
    yield "residual, preactivation, first of all, block activation, dropout, batchnorm", {
        **BATCHNORM, "model.residual": "preactivation", "model.features": "(8, 8s2)+ x2", "model.hidden": "9",
        "model.block": "activation, dropout, batchnorm", "model.conv_bias": "auto"}
    yield "residual, inverted bottlenecks, relu6", {
        **BATCHNORM, **NESTEROV, "model.residual": "linear", "model.activation": "relu6", "model.conv_bias": "auto",
        "model.features": "8s2, (8g8, 6k1)+, (36k1, 36s2g36, 10k1)+, (60k1, 60g60, 10k1)+ x2, 20k1, G"}
    for order in ("activation, batchnorm, dropout", "dropout, activation, batchnorm"):
        yield f"residual, block {order}", {**BATCHNORM, **RESIDUAL, "model.block": order, "model.dropout": "0.25",
                                           "model.conv_bias": "auto"}
    yield "residual, adam, hidden layers, moving average, not fused", {
        **BATCHNORM, **RESIDUAL, **ADAM, "model.hidden": "11", "train.ema_decay": "0.9", "backend.fuse": "false"}


def excitations():
    features = {"model.features": "8, (8, 8, S4)+ x2, (12s2, S2, 12, S3)+, 9, S9, M2, G"}
    yield "squeeze-and-excitation", features
    yield "squeeze-and-excitation, batchnorm, no biases before it, nesterov, weight decay", {
        **BATCHNORM, **NESTEROV, **DECAY, **features, "model.conv_bias": "auto"}
    yield "squeeze-and-excitation, preactivation, batchnorm, muon", {
        **BATCHNORM, **MUON, **features, "model.residual": "preactivation", "model.conv_bias": "auto"}
    yield "squeeze-and-excitation, inverted bottlenecks, silu, not fused", {
        **BATCHNORM, **COLOUR, "model.residual": "linear", "model.activation": "silu", "model.conv_bias": "false",
        "model.features": "8s2, (8g8, S4, 6k1)+, (36k1, 36s2g36, S12, 10k1)+, (60k1, 60g60, S12, 10k1)+, G",
        "backend.fuse": "false"}


def configs():
    """The networks of configs/ that are known by name, on small images. The keys of [model] are those of the file, but for a
    stride each: in maps of one pixel the many normalizations have so few values that they amplify rounding."""
    strides = {"32s2, (32g32": "32, (32g32", "(512s2, 512)": "(512, 512)", "(512k1, 512s2,": "(512k1, 512,"}
    folder = pathlib.Path(__file__).resolve().parents[3] / "configs"
    for name in ("resnet20", "resnet18", "resnet50", "mobilenet_v2", "wrn16_4"):
        parser = configparser.ConfigParser(inline_comment_prefixes=("#",))
        parser.read(folder / f"{name}.ini")
        model = dict(parser["model"])
        for stride, without in strides.items():
            model["features"] = model["features"].replace(stride, without)
        yield f"{name}.ini", {
            **{f"model.{key}": value for key, value in model.items()}, **COLOUR,
            "optimizer.learning_rate": "1e-4", "train.max_steps": "10", "train.eval_freq": "10", "train.batch_size": "10"}


def training():
    yield "label smoothing", one("train.label_smoothing", "0.2")
    yield "label smoothing, adam, batchnorm", one("train.label_smoothing", "0.2", BATCHNORM, ADAM)
    yield "clipped at every step", one("train.clip_norm", "0.05")
    yield "clipped at some steps, batchnorm", one("train.clip_norm", "1.2", BATCHNORM)
    yield "clipped, adamw, weight decay", one("train.clip_norm", "0.05", ADAMW, DECAY)
    yield "clipped, nesterov, weight decay", one("train.clip_norm", "0.3", NESTEROV, DECAY)
    yield "moving average", one("train.ema_decay", "0.5")
    yield "moving average, batchnorm", one("train.ema_decay", "0.99", BATCHNORM)
    yield "moving average, clipped, smoothed, adamw", {**BATCHNORM, **ADAMW, **DECAY, "train.ema_decay": "0.6",
                                                       "train.clip_norm": "0.5", "train.label_smoothing": "0.1"}
    yield "separate loss", one("model.loss", "separate")
    yield "separate loss, adam, batchnorm", one("model.loss", "separate", BATCHNORM, ADAM)
    yield "separate loss, perceptron", one("model.loss", "separate", PERCEPTRON)
    for loss in ("fused", "separate"):
        yield f"class weights, {loss} loss", {"model.loss": loss, "train.class_weights": "1, 2, 0.5, 1, 3, 0, 0.25"}
    yield "class weights, balanced, smoothed", {**BATCHNORM, "train.class_weights": "balanced", "train.label_smoothing": "0.1"}
    yield "separate loss, probabilities underflow", {**PERCEPTRON, "model.loss": "separate", "data.normalization": "none",
                                                     "optimizer.learning_rate": "1"}


def data():
    for kind in ("none", "unit", "mean_image", "channel"):
        large = kind in ("none", "mean_image")
        yield f"normalization {kind}", {**COLOUR, "data.normalization": kind,
                                        "optimizer.learning_rate": "1e-4" if large else "0.05"}
        yield f"normalization {kind}, perceptron", {**PERCEPTRON, "data.normalization": kind,
                                                    "optimizer.learning_rate": "1e-5" if large else "0.02"}
    for order in ("file", "shuffled"):
        yield f"first epoch {order}", one("data.first_epoch", order)
    yield "validation", {**BATCHNORM, "data.validation_size": "37", "experiment.seed": "7"}
    yield "validation, mean image, moving average, augmented", {
        **PERCEPTRON, **AUGMENT, "data.validation_size": "64", "data.normalization": "mean_image", "train.ema_decay": "0.5",
        "optimizer.learning_rate": "1e-5", "train.batch_size": "64"}
    yield "an epoch's tail is dropped", one("train.batch_size", "64", BATCHNORM)
    yield "an epoch without a tail", one("train.batch_size", "42", BATCHNORM)
    yield "a batch is the whole set", one("train.batch_size", "210", PERCEPTRON)
    yield "another seed", {**BATCHNORM, "train.batch_size": "64", "experiment.seed": "7"}
    yield "batches of one", {"train.batch_size": "1", "optimizer.learning_rate": "5e-3"}
    yield "batches of two, batchnorm", {**PERCEPTRON, **BATCHNORM, "train.batch_size": "2", "optimizer.learning_rate": "2e-3"}
    for size in ("1", "7", "53", "210", "100000"):
        yield f"evaluation in batches of {size}", one("train.eval_batch_size", size, BATCHNORM)
    yield "mirrored", one("augment.flip", "true", COLOUR)
    yield "mirrored in every second epoch", one("augment.flip", "alternating", COLOUR)
    yield "mirrored in every second epoch, turned", {**COLOUR, "augment.flip": "alternating", "augment.rotate": "20"}
    yield "moved", one("augment.crop", "4", COLOUR)
    yield "with holes", one("augment.cutout", "9", COLOUR)
    yield "augmented, mean image, batchnorm", {**AUGMENT, **BATCHNORM, "data.normalization": "mean_image",
                                               "train.batch_size": "64", "optimizer.learning_rate": "0.01"}
    yield "augmented as much as can be, perceptron", {**PERCEPTRON, "augment.flip": "true", "augment.crop": "15",
                                                      "augment.cutout": "15"}
    yield "turned, zoomed", {**COLOUR, "augment.rotate": "40", "augment.scale": "0.4", "augment.vertical_flip": "true"}
    yield "resized crops", one("augment.resized_crop", "0.3", COLOUR)
    yield "coloured", {**COLOUR, "augment.brightness": "0.5", "augment.contrast": "0.8", "augment.saturation": "1"}
    yield "contrast of grey images, erased, mean image", {"data.normalization": "mean_image", "augment.contrast": "1",
                                                          "augment.erase": "0.7", "optimizer.learning_rate": "1e-4"}
    yield "mixup", one("augment.mixup", "0.4")
    yield "cutmix", one("augment.cutmix", "1", COLOUR)
    yield "mixup and cutmix, smoothed, class weights", {**BATCHNORM, "augment.mixup": "0.2", "augment.cutmix": "1",
                                                        "train.label_smoothing": "0.1",
                                                        "train.class_weights": "1, 2, 0.5, 1, 3, 0, 0.25"}
    yield "all of augmentation", PICTURES
    yield "all of augmentation, perceptron", {**PICTURES, **PERCEPTRON, "optimizer.learning_rate": "1e-5"}
    yield "strong", STRONG


CASES = dict(itertools.chain(optimizers(), schedules(), batch_normalizations(), blocks(), features(), groups(), residual(), excitations(), configs(), speed_recipe(), training(), data()))

# What continuous integration compares: every optimizer, schedule, kind of layer and option of training once.
QUICK = ("sgd, nesterov, weight decay, batchnorm", "adam, weight decay", "adamw, betas, batchnorm", "step, warm-up 6, minimum 0",
         "cosine, warm-up 6, minimum 0.01", "linear, warm-up 1, minimum 0", "batchnorm autodiff",
         "batchnorm custom, statistics of the batch", "block activation, dropout, batchnorm", "elu, slope 0.4, batchnorm",
         "leaky_relu, slope 0.3", "features 8k5s2p2, M", "features 8, A3s2p1, 8, A8", "features, hidden layers",
         "residual, no biases before batchnorm, colour, nesterov, weight decay", "residual, bottlenecks, no biases",
         "the parts of speedrun.ini", "muon, normalized weights, sgd for the rest", "mirrored in every second epoch, turned",
         "depthwise, batchnorm, colour, adamw, weight decay", "groups, residual, muon, clipped",
         "residual, preactivation, batchnorm, no biases, head dropout", "residual, inverted bottlenecks, relu6",
         "squeeze-and-excitation, batchnorm, no biases before it, nesterov, weight decay",
         "squeeze-and-excitation, inverted bottlenecks, silu, not fused",
         "moving average, clipped, smoothed, adamw", "separate loss", "separate loss, probabilities underflow",
         "normalization mean_image, perceptron", "first epoch file", "validation", "class weights, fused loss",
         "class weights, balanced, smoothed", "an epoch's tail is dropped", "evaluation in batches of 7", "all of augmentation",
         "mixup and cutmix, smoothed, class weights", "strong")

# Here PyTorch gets another value of a key than the trainer, so that the comparison must tell them apart.
MUST_DIFFER = {
    "another share of mixup": (one("augment.mixup", "0.4"), {"augment.mixup": "0.41"}),
    "another zoom": (one("augment.scale", "0.3"), {"augment.scale": "0.301"}),
    "another weight decay": ({**ADAM, **DECAY}, {"optimizer.weight_decay": "0.0501"}),
    "another order of the first epoch": (one("data.first_epoch", "file"), {"data.first_epoch": "shuffled"}),
    "another seed of dropout": (one("model.dropout", "0.25"), {"experiment.seed": "43"}),
    "another warm-up": ({**PERCEPTRON, "schedule.name": "cosine", "schedule.warmup_steps": "5"}, {"schedule.warmup_steps": "6"}),
    "another memory of the moving average": (one("train.ema_decay", "0.5"), {"train.ema_decay": "0.51"}),
}
