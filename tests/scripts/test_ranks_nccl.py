"""Runs whose ranks have an emulated GPU each and exchange by what stands for NCCL (tests/cuda_emulation/fake_nccl.c): the same bytes
at 1, 2 and 4 ranks, what is said where NCCL cannot be used, and how a run ends where a rank, a device or NCCL fails.

usage: test_ranks_nccl.py BUILD
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
MPIRUN = shutil.which("mpirun")
HOST = os.uname().nodename[:63]
PROGRAM = os.path.join(BUILD, "trainer_emulated")
EXCHANGE = os.path.join(BUILD, "exchange_gpus")
FAKE = os.path.join(BUILD, "fake_nccl")
REMOTE = "remote process exited or there was a network error: the fake's own words"

CONFIG = """[data]
dataset = synthetic
synthetic_train = 48
synthetic_test = 16
synthetic_classes = 5
synthetic_size = 9
[model]
kind = convnet
features = 16, G
batchnorm = custom
[optimizer]
name = adam
[train]
max_steps = 4
batch_size = 16
slices = 4
eval_freq = 4
ema_decay = 0.9
clip_norm = 0.5
[checkpoint]
freq = 2
[backend]
device = cuda
deterministic = true
exchange_timeout = 60
exchange_bucket_mb = 0.0002
"""

environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
environment.update(OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_btl_vader_single_copy_mechanism="none")
environment.update(CUDA_EMULATION_DEVICES="4", LD_LIBRARY_PATH=FAKE)


def expect(good, what):
    if not good:
        print("FAILED: " + what, file=sys.stderr)
        sys.exit(1)


class Run:
    """A program under mpirun, or (one rank) alone, with more variables of the environment."""

    def __init__(self, ranks, *words, **variables):
        launcher = [MPIRUN, "-n", str(ranks), "--bind-to", "none"] if ranks > 1 else []
        self.folder = tempfile.mkdtemp(dir=os.getcwd())  # of the stand-in
        self.words = [word.replace("FOLDER", self.folder) for word in words]
        self.process = subprocess.Popen(launcher + self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env={**environment, "FAKE_NCCL_FOLDER": self.folder, **variables})  # fmt: skip

    def expect(self, code, *parts):
        """Ends with this code, having printed all the parts. Returns what it has printed."""
        out, errors = self.process.communicate(timeout=120)
        said = f"{self.words}: code {self.process.returncode}\n{out}\n{errors}"
        expect(self.process.returncode == code, f"expected code {code}: {said}")
        for part in parts:
            expect(part in out + errors, f"expected {part!r}: {said}")
        return out + errors

    def traffic(self):
        """Of each rank that ended well: its groups, messages and their bytes."""
        path = f"{self.folder}/ranks"
        lines = open(path).read().splitlines() if os.path.exists(path) else []
        return {int(line.split()[0]): tuple(map(int, line.split()[1:])) for line in lines}

    def first(self):
        """What the ranks that are to report a failed exchange say."""
        names = sorted(name for name in os.listdir(self.folder) if name.startswith("failed-"))
        said = [open(f"{self.folder}/{name}").read() for name in names]
        return [line.removeprefix("first ").strip() for line in said if line.startswith("first ")]


def exchange(ranks, seconds, **variables):
    return Run(ranks, EXCHANGE, str(seconds), "FOLDER", **variables)


def test_exchanges():
    for ranks in (2, 4):
        run = exchange(ranks, 60)
        run.expect(0, "NCCL 2.28.9")
        groups, others = 1 + 4 * 2, ranks - 1  # a greeting, and four rounds of two exchanges
        wanted = (groups, 2 * others * groups, 2 * others * (1 + 4 * 300005))
        expect(run.traffic() == {rank: wanted for rank in range(ranks)}, f"traffic: {run.traffic()}, expected {wanted} of each")
    print("several exchanges at once")


def test_apart():
    def expect_reason(run, reason):
        run.expect(0, reason)
        expect(not run.traffic(), f"{reason}: traffic {run.traffic()}")

    os.makedirs("none")
    with open("none/libnccl.so.2", "w") as file:
        file.write("no library")
    expect_reason(exchange(2, 60, LD_LIBRARY_PATH=os.path.abspath("none")), f"rank 0 ({HOST}): no NCCL: ")
    with open("unlike", "w") as file:
        file.write('#!/bin/sh\n[ $OMPI_COMM_WORLD_RANK != 1 ] || export FAKE_NCCL_VERSION=21805\nexec "$@"\n')
    os.chmod("unlike", 0o755)
    run = Run(2, "./unlike", EXCHANGE, "60", "FOLDER")
    expect_reason(run, f"rank 1 ({HOST}) has NCCL 2.18.5, rank 0 ({HOST}) has NCCL 2.28.9")
    print("no NCCL, two versions: each is told, and the ranks stay apart")


def test_faults():
    def expect_end(fault, seconds, rank, what, why):
        run = exchange(2, seconds, FAKE_NCCL_FAULT=fault)
        before = time.monotonic()
        run.expect(1)
        took = time.monotonic() - before
        words = f"rank {rank} of 2 ({HOST}): the exchange of {what} by NCCL 2.28.9 fails: {why}; backend.exchange = host does without it"
        expect(run.first() == [words], f"{fault}: expected {words!r}, found {run.first()}")
        expect(took < 15, f"{fault}: took {took:.1f} s")

    late = "it takes more than 3 s (backend.exchange_timeout), though all ranks answer"
    expect_end("init 1 0", 60, 1, "greetings between the GPUs", REMOTE)
    expect_end("error 1 4", 60, 1, "small pieces", REMOTE)
    expect_end("hang 1 4", 3, 0, "small pieces", late)
    expect_end("stuck 0 4", 3, 0, "small pieces", late)
    print("a communicator that fails, a device that hangs, NCCL that does not even give up: one rank tells, and all end")


def checkpoints(folder):
    names = sorted(os.listdir(f"{folder}/checkpoints"))
    return {name: open(f"{folder}/checkpoints/{name}", "rb").read() for name in names}


def test_training():
    with open("c.ini", "w") as file:
        file.write(CONFIG)
    Run(1, PROGRAM, "c.ini", "--out", "one").expect(0)
    for ranks in (2, 4):
        run = Run(ranks, PROGRAM, "c.ini", "--out", f"on{ranks}")
        run.expect(0, "exchange by NCCL 2.28.9 and Open MPI")
        expect(checkpoints("one") == checkpoints(f"on{ranks}"), f"{ranks} ranks give other bytes than one")
        expect(sorted(run.traffic()) == list(range(ranks)), f"traffic: {run.traffic()}")
        # In a step statistics, and in two buckets or more each the gradients, their sums, and the weights.
        expect(run.traffic()[0][0] >= 4 * (1 + 3 * 2), f"buckets: {run.traffic()}")
    os.remove("on4/checkpoints/step_00000004.safetensors")
    Run(2, PROGRAM, "resume", "on4").expect(0)
    expect(checkpoints("one") == checkpoints("on4"), "a run that went on at another number of ranks ends otherwise")
    print("training at 1, 2 and 4 ranks, and on: the same bytes")


def test_ways():
    short = ("c.ini", "--set", "train.max_steps=1")
    run = Run(2, PROGRAM, *short, "--set", "backend.exchange=host", "--out", "host")
    said = run.expect(0, "2 per rank; exchange by Open MPI")
    expect(not run.traffic() and "note: the GPUs" not in said, f"host: {run.traffic()}\n{said}")
    without = {"LD_LIBRARY_PATH": os.path.abspath("none")}
    said = Run(2, PROGRAM, "c.ini", "--out", "auto", **without).expect(0, "2 per rank; exchange by Open MPI")
    note = f"note: the GPUs exchange through the memory of their hosts: rank 0 ({HOST}): no NCCL: "
    expect(said.count(note) == 1, f"expected {note!r} once: {said}")
    expect(checkpoints("one") == checkpoints("auto"), "two ranks without NCCL give other bytes than one")
    words = f"--set backend.exchange: expected auto or host, found nccl, but rank 0 ({HOST}): no NCCL: "
    said = Run(2, PROGRAM, *short, "--set", "backend.exchange=nccl", "--out", "no", **without).expect(2)
    expect(said.count(words) == 1, f"expected {words!r} once: {said}")
    print("through the hosts because it is asked for, or for want of NCCL; refused where NCCL is asked for")


def process_of(rank):
    """The process of a rank that runs in this folder."""
    here = os.getcwd()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            mine = os.readlink(f"/proc/{process}/cwd") == here and os.readlink(f"/proc/{process}/exe") == PROGRAM
            if mine and f"OMPI_COMM_WORLD_RANK={rank}\0" in open(f"/proc/{process}/environ").read():
                return int(process)
        except OSError:
            continue
    return None


def start(folder):
    """Starts a long run of two ranks, and returns it once it has saved a step."""
    long = ("--set", "train.max_steps=100000", "--set", "train.eval_freq=100000", "--set", "backend.exchange_timeout=2")
    run = Run(2, PROGRAM, "c.ini", *long, "--out", folder)
    while not os.path.exists(f"{folder}/checkpoints/step_00000002.safetensors"):
        expect(run.process.poll() is None, "does not start")
        time.sleep(0.01)
    return run


def test_lost():
    run = start("hangs")
    os.kill(process_of(1), signal.SIGSTOP)
    before = time.monotonic()
    words = f"rank 0 of 2 ({HOST}): no answer from rank 1 ({HOST}) for 2 s (backend.exchange_timeout) in the exchange of "
    said = run.expect(1, words, "; saved up to step ", "; go on with: trainer resume hangs")
    took = time.monotonic() - before
    expect(said.count("no answer from") == 1 and took < 2 + 2 + 2 + 5, f"took {took:.1f} s: {said}")
    run = start("killed")
    os.kill(process_of(1), signal.SIGKILL)
    before = time.monotonic()
    run.process.communicate(timeout=60)
    took = time.monotonic() - before
    expect(run.process.returncode != 0 and not process_of(0) and took < 10, f"a killed rank: {run.process.returncode}, {took:.1f} s")
    print("a rank hangs: one line names it, and all end; so they do when it is killed")


def main():
    if not MPIRUN or not os.access(PROGRAM, os.X_OK):
        print("skipped: no mpirun, or no trainer_emulated")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        environment["XDG_CACHE_HOME"] = work  # a device is tested once
        for test in (test_exchanges, test_apart, test_faults, test_training, test_ways, test_lost):
            before = time.monotonic()
            test()
            print(f"  {time.monotonic() - before:.1f} s", flush=True)


main()
