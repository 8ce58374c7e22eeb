"""What the tests of this folder share: a small run of the trainer that the environment variable TRAINER names."""

import csv
import os
import subprocess
import tempfile
import time

CONFIG = """
[data]
dataset = synthetic
synthetic_train = 60
synthetic_test = 30
synthetic_classes = 3
synthetic_size = 8
normalization = channel
[model]
kind = convnet
features = 4, M, 8, M, A
batchnorm = custom
[optimizer]
name = adam
[train]
max_steps = 12
batch_size = 10
eval_freq = 4
[backend]
device = cpu
threads = 1
"""


def trainer(*arguments, **options):
    """Runs the trainer; its standard output. An exit code other than 0 is an error with what it said."""
    done = subprocess.run([os.environ["TRAINER"], *arguments], capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise AssertionError(f"trainer {' '.join(arguments)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


def train(folder, *settings):
    """A run of CONFIG with section.key=value settings, in a new folder run/ of `folder`; its path."""
    os.makedirs(folder, exist_ok=True)
    config, run = os.path.join(folder, "small.ini"), os.path.join(folder, "run")
    with open(config, "w") as file:
        file.write(CONFIG)
    trainer(config, "--out", run, "--quiet", *[f"--set={setting}" for setting in settings])
    return run


def kill(folder, step, *settings):
    """As train, but killed as soon as metrics.csv has come to that step."""
    os.makedirs(folder, exist_ok=True)
    config, run = os.path.join(folder, "small.ini"), os.path.join(folder, "run")
    with open(config, "w") as file:
        file.write(CONFIG)
    sets = [f"--set={setting}" for setting in settings]
    process = subprocess.Popen([os.environ["TRAINER"], config, "--out", run, "--quiet", *sets])
    try:
        begin = time.monotonic()
        while not os.path.exists(run + "/metrics.csv") or not metrics(run) or metrics(run)[-1]["step"] < step:
            if process.poll() is not None or time.monotonic() - begin > 120:
                raise AssertionError(f"the run did not come to step {step}: exit code {process.returncode}")
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    return run


def metrics(run):
    """metrics.csv: a list of rows, each a dict of numbers by column."""
    with open(os.path.join(run, "metrics.csv")) as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def new_folder(test):
    """A folder that vanishes with the test."""
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return folder.name
