"""The trainer's side: a config, the run that it makes, and its figures read from the files of the run's folder."""

import csv
import json
import os
import re
import shutil
import subprocess

import numpy

BASE = {
    "data.dataset": "idx",
    "data.normalization": "channel",
    "model.kind": "convnet",
    "model.features": "8, M, 12, M2, A",
    "optimizer.learning_rate": "0.05",
    "train.max_steps": "20",
    "train.batch_size": "14",
    "train.eval_freq": "5",
    "checkpoint.freq": "5",
    "checkpoint.keep": "1000",
    "backend.device": "cpu",
    "backend.threads": "1",
}
TENSOR_TYPES = {"F32": "<f4", "F64": "<f8"}


class Settings:
    """A resolved config: every key with the value that counts."""

    def __init__(self, values):
        self.values = values

    def text(self, key):
        return self.values[key]

    def real(self, key):
        return float(self.values[key])

    def whole(self, key):
        return int(self.values[key])

    def flag(self, key):
        return self.values[key] == "true"

    def section(self, name):
        return {key.split(".", 1)[1]: value for key, value in self.values.items() if key.startswith(name + ".")}


def parse(text):
    """section.key -> value of a config that the trainer wrote."""
    values, section = {}, ""
    for line in text.splitlines():
        line = re.sub(r"\s+#.*|^#.*", "", line).strip()
        if line.startswith("["):
            section = line[1:-1]
        elif line:
            key, value = line.split("=", 1)
            values[f"{section}.{key.strip()}"] = value.strip()
    return values


def read_tensors(path):
    """name -> array in double precision; and the texts of the header."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    texts = header.pop("__metadata__", {})
    return {name: numpy.frombuffer(data[slice(*entry["data_offsets"])], TENSOR_TYPES[entry["dtype"]])
            .reshape(entry["shape"]).astype(numpy.float64) for name, entry in header.items()}, texts


def write_tensors(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        part = numpy.ascontiguousarray(values, "<f8").tobytes()
        header[name] = {"dtype": "F64", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


class Subject:
    """One case in a folder of its own. `images` is the folder of images.write_all."""

    def __init__(self, trainer, folder, images, changes):
        self.trainer, self.folder = trainer, folder
        self.config, self.run = os.path.join(folder, "case.ini"), os.path.join(folder, "run")
        values = {**BASE, **changes}
        self.write_config({**values, "data.path": os.path.join(images, values["data.dataset"])})
        self.settings = Settings(parse(self.call("config", self.config)))

    def write_config(self, values):
        sections = {}
        for key, value in values.items():
            sections.setdefault(key.split(".")[0], []).append(f"{key.split('.')[1]} = {value}\n")
        with open(self.config, "w") as file:
            file.writelines(f"[{name}]\n{''.join(lines)}" for name, lines in sections.items())

    def call(self, *arguments):
        done = subprocess.run([self.trainer, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"trainer {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def train(self, weights):
        """From `weights`, in the config's precision. Replaces an earlier run."""
        shutil.rmtree(self.run, ignore_errors=True)
        path = os.path.join(self.folder, "weights.safetensors")
        write_tensors(path, weights)
        self.call("import", self.config, path, "--output", self.run)
        self.call("resume", self.run, "--quiet")

    def rows(self):
        with open(os.path.join(self.run, "metrics.csv")) as file:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]

    def tensors(self, step):
        return read_tensors(os.path.join(self.run, "checkpoints", f"step_{step:08d}.safetensors"))[0]

    def best_step(self):
        return int(read_tensors(os.path.join(self.run, "checkpoints", "best.safetensors"))[1]["step"])
