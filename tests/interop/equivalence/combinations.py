"""Random combinations of the options: any number of them, the same for the same seed."""

import random

from images import SHAPES

# Text of the feature, kernel, stride, padding.
WINDOWS = (("3", 3, 1, 1), ("8", 3, 1, 1), ("16", 3, 1, 1), ("19", 3, 1, 1), ("8k1", 1, 1, 0), ("5k5s2", 5, 2, 2),
           ("7k7p1", 7, 1, 1), ("9s2p0", 3, 2, 0), ("4k2p1", 2, 1, 1), ("M", 3, 2, 1), ("M2", 2, 2, 0), ("A2", 2, 2, 0),
           ("A3s2p1", 3, 2, 1), ("M5s3p2", 5, 3, 2), ("A", 1, 1, 0), ("M3s1p1", 3, 1, 1))
RESIDUAL = (("(8, 8)+", 3, 1, 1), ("(16)+ x2", 3, 1, 1), ("(7s2, 9)+", 3, 2, 1), ("(5k1, 5s2, 19k1)+ x2", 3, 2, 1),
            ("(12s2, 12, S3)+ x2", 3, 2, 1))
ACTIVATIONS = (("relu", "0"), ("relu", "0"), ("leaky_relu", "0"), ("leaky_relu", "0.2"), ("elu", "0"), ("elu", "0.7"),
               ("gelu", "0"), ("silu", "0"))
PARTS = ("batchnorm", "activation", "dropout")


class Drawn:
    """The keys of one combination."""

    def __init__(self, generator):
        self.random, self.keys = generator, {}
        self.draw_data()
        self.draw_model()
        self.draw_optimizer()
        self.draw_training()

    def choose(self, key, *choices):
        self.keys[key] = self.random.choice(choices)
        return self.keys[key]

    def draw_data(self):
        self.choose("data.dataset", "idx", "cifar10")
        self.large = self.choose("data.normalization", "channel", "unit", "mean_image", "none") in ("mean_image", "none")
        self.choose("data.first_epoch", "shuffled", "file")
        self.choose("data.validation_size", "0", "37")
        self.choose("augment.flip", "false", "true")
        self.choose("augment.crop", "0", "0", "3", "15")
        self.choose("augment.cutout", "0", "0", "6", "15")
        self.choose("augment.rotate", "0", "0", "25")
        self.choose("augment.resized_crop", "0", "0", "0.4")
        self.choose("augment.contrast", "0", "0", "0.5")
        self.choose("augment.erase", "0", "0", "0.3")

    def draw_features(self):
        height, width = SHAPES[self.keys["data.dataset"]][2:]
        features = []
        for _ in range(self.random.randint(1, 5)):
            windows = RESIDUAL if self.random.random() < 0.2 else WINDOWS
            fitting = [window for window in windows if min(height, width) + 2 * window[3] >= window[1]]
            text, kernel, stride, padding = self.random.choice(fitting)
            features.append(text)
            height, width = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
        end = self.random.choice(([], [], ["G"])) or (["M4"] if height * width > 100 else [])
        self.keys["model.features"] = ", ".join(features + end)
        self.choose("model.conv_bias", "true", "true", "false", "auto")

    def draw_model(self):
        if self.choose("model.kind", "convnet", "convnet", "convnet", "mlp") == "convnet":
            self.draw_features()
            self.choose("model.hidden", "", "", "20", "17, 9")
        else:
            self.keys["model.features"] = ""
            self.choose("model.hidden", "", "30", "24, 16", "33, 17, 10")
        if self.choose("model.batchnorm", "none", "custom", "custom", "autodiff") != "none":
            self.choose("model.batchnorm_momentum", "0.1", "0.3", "1")
            self.choose("model.batchnorm_epsilon", "1e-5", "1e-3")
            self.choose("model.batchnorm_batch_stats_only", "false", "false", "true")
        self.keys["model.block"] = ", ".join(self.random.sample(PARTS, 3) if self.random.random() < 0.5 else PARTS)
        self.keys["model.activation"], self.keys["model.activation_slope"] = self.random.choice(ACTIVATIONS)
        self.choose("model.dropout", "0", "0", "0.1", "0.5")
        self.choose("model.loss", "fused", "fused", "separate")

    def draw_optimizer(self):
        self.choose("optimizer.weight_decay", "0", "0.01")
        # Lion follows the sign of a gradient that is 0 but for rounding, as a bias before batch normalization has it.
        lion = ("lion",) if self.keys["model.batchnorm"] == "none" else ()
        name = self.choose("optimizer.name", "sgd", "sgd", "adam", "adamw", "muon", *lion)
        if name == "sgd":
            small = self.large and self.keys["model.batchnorm"] == "none"
            self.keys["optimizer.learning_rate"] = "1e-5" if small else "0.02"
            if self.choose("optimizer.momentum", "0", "0.9") != "0":
                self.choose("optimizer.nesterov", "true", "false")
        else:
            self.keys["optimizer.learning_rate"] = "1e-3"
            self.choose("optimizer.beta1", "0.9", "0.7")
            self.choose("optimizer.beta2", "0.999", "0.9")
            if name != "lion":
                self.choose("optimizer.epsilon", "1e-8", "1e-4")
        self.choose("schedule.name", "constant", "step", "cosine", "linear")
        self.choose("schedule.warmup_steps", "0", "0", "1", "7", "19")
        self.choose("schedule.step_size", "1", "3", "50")
        self.choose("schedule.gamma", "0.5", "1")
        self.choose("schedule.minimum", "0", "1e-6")

    def draw_training(self):
        smallest = "1" if self.keys["model.batchnorm"] == "none" else "9"
        self.choose("train.batch_size", smallest, "14", "32", "64", "100", "150")
        self.choose("train.eval_batch_size", "0", "0", "17", "1000")
        self.choose("train.label_smoothing", *(("0", "0.1") if self.keys["model.loss"] == "fused" else ("0",)))
        self.choose("train.class_weights", "none", "none", "balanced")
        if self.keys["model.loss"] == "fused":
            self.choose("augment.mixup", "0", "0", "0.3")
            self.choose("augment.cutmix", "0", "0", "1")
        self.choose("train.ema_decay", "0", "0", "0.3", "0.99")
        self.choose("train.clip_norm", "0", "0", "0.1", "2")
        self.choose("experiment.seed", "42", "0", "1234567890")
        self.choose("backend.fuse", "true", "true", "false")
        self.choose("backend.cpu_isa", "auto", "portable")


def combinations(count, seed):
    """name -> changes to subject.BASE."""
    return {f"combination {i} of seed {seed}": Drawn(random.Random(f"{seed}/{i}")).keys for i in range(count)}
