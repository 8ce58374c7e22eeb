"""Runs on several ranks, each on an emulated GPU of its own, which exchange through the memory of their hosts: the same bytes at 1,
2 and 4 ranks, also after a run that went on at another number; and what is said where a machine has fewer GPUs than ranks.

usage: test_ranks_emulated.py BUILD
"""

import os
import shutil
import subprocess
import sys
import tempfile

BUILD = os.path.abspath(sys.argv[1])
PROGRAM = os.path.join(BUILD, "trainer_emulated")
MPIRUN = shutil.which("mpirun")
HOST = os.uname().nodename[:63]
CONFIG = """[data]
dataset = synthetic
synthetic_train = 70
synthetic_test = 37
synthetic_classes = 5
synthetic_size = 9
normalization = channel
[augment]
flip = true
[model]
kind = convnet
features = 16, (16, 16)+, G
batchnorm = custom
dropout = 0.1
[optimizer]
name = adam
[train]
max_steps = 6
batch_size = 16
slices = 4
eval_freq = 4
ema_decay = 0.9
clip_norm = 0.5
[checkpoint]
freq = 3
[backend]
device = cuda
deterministic = true
exchange = host
exchange_timeout = 120
"""

environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
environment.update(OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_btl_vader_single_copy_mechanism="none")


def run(ranks, devices, *words, program=(PROGRAM,)):
    """Returns what the program prints on both streams, and its exit code."""
    launcher = [MPIRUN, "-n", str(ranks), "--bind-to", "none"] if ranks > 1 else []
    done = subprocess.run(launcher + [*program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**environment, "CUDA_EMULATION_DEVICES": str(devices)}, text=True, timeout=250)  # fmt: skip
    return done.returncode, done.stdout


def expect(good, what):
    if not good:
        print("FAILED: " + what, file=sys.stderr)
        sys.exit(1)


def train(ranks, *words):
    code, said = run(ranks, 4, *words)
    expect(code == 0, f"{ranks} ranks, {words}: code {code}\n{said}")


def checkpoints(folder):
    names = sorted(os.listdir(f"{folder}/checkpoints"))
    return {name: open(f"{folder}/checkpoints/{name}", "rb").read() for name in names}


def main():
    if not MPIRUN or not os.access(PROGRAM, os.X_OK):
        print("skipped: no mpirun, or no trainer_emulated")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("c.ini", "w") as file:
            file.write(CONFIG)
        train(1, "c.ini", "--out", "one")
        for ranks in (2, 4):
            train(ranks, "c.ini", "--out", f"on{ranks}")
            expect(checkpoints("one") == checkpoints(f"on{ranks}"), f"{ranks} ranks give other bytes than one")
        os.remove("on4/checkpoints/step_00000006.safetensors")
        train(2, "resume", "on4")
        expect(checkpoints("one") == checkpoints("on4"), "a run that went on at another number of ranks ends otherwise")
        code, said = run(4, 2, "c.ini", "--out", "few")
        expect(code == 2 and "of this machine finds 2 GPUs: expected one for each rank" in said, f"code {code}\n{said}")
        code, said = run(2, 1, "c.ini", "--out", "few")
        words = f"ranks 0 and 1 have the same GPU, 0000:00:00.0 of {HOST}: expected one for each rank"
        expect(code == 2 and words in said and not os.path.exists("few"), f"code {code}\n{said}")
        # A scheduler that shows each rank its own GPU alone.
        with open("shown", "w") as file:
            file.write('#!/bin/sh\nexport CUDA_EMULATION_BUS=0000:0$OMPI_COMM_WORLD_RANK:00.0\nexec "$@"\n')
        os.chmod("shown", 0o755)
        code, said = run(2, 1, "c.ini", "--out", "shown2", program=("./shown", PROGRAM))
        expect(code == 0, f"code {code}\n{said}")
        expect(checkpoints("one") == checkpoints("shown2"), "ranks that see one GPU each end otherwise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
