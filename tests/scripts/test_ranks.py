"""Runs on several ranks under real Open MPI: the same bytes at any number of ranks, after failures too; and what the program
says where ranks are missing, differ, or cannot start.

usage: test_ranks.py BUILD
"""

import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
PROGRAM = os.path.join(BUILD, "trainer")
MPIRUN = shutil.which("mpirun")
HOST = os.uname().nodename[:63]

DATA = """[data]
dataset = synthetic
synthetic_train = 300
synthetic_test = 70
synthetic_classes = 5
synthetic_size = 9
validation_size = 30
normalization = channel
"""
TRAIN = "[train]\nmax_steps = 24\nbatch_size = 32\nslices = 8\neval_freq = 8\neval_batch_size = 9\n"
REST = "[checkpoint]\nfreq = 8\n[backend]\ndevice = cpu\nthreads = 1\nexchange_timeout = 60\n"
CONVNET = DATA + (
    "[augment]\nflip = true\ncrop = 2\ncutout = 3\n"
    "[model]\nkind = convnet\nfeatures = 6, M, 17, M, A\nbatchnorm = custom\ndropout = 0.1\n[optimizer]\nname = adam\n"
)
CONFIGS = {
    "mlp": DATA + "[model]\nhidden = 40, 19\nbatchnorm = custom\n" + TRAIN + REST,  # its first layer reads bytes
    # Gradients and weights are sent in several parts, as between machines.
    "convnet": CONVNET + TRAIN + "ema_decay = 0.9\nclip_norm = 0.5\n" + REST + "exchange_bucket_mb = 0.002\n",
    "residual": DATA
    + "[model]\nkind = convnet\nfeatures = 16, (16, 16)+, (32s2, 32)+, G\nbatchnorm = custom\ninit = he\n"
    + "[optimizer]\nname = muon\n" + TRAIN + REST,  # fmt: skip
    "bf16": CONVNET + TRAIN + REST + "precision = bf16\n",
}
# Long enough to meet it with a signal.
LONG = CONFIGS["convnet"].replace("max_steps = 24", "max_steps = 400").replace("eval_freq = 8", "eval_freq = 100")
LONG = LONG.replace("freq = 8\n[backend]", "freq = 20\nkeep = 100\n[backend]").replace("_timeout = 60", "_timeout = 2")

environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
environment["OMPI_MCA_rmaps_base_oversubscribe"] = "1"
environment["OMPI_MCA_btl_vader_single_copy_mechanism"] = "none"  # containers often forbid the usual one
for variable in [name for name in environment if name.startswith(("SLURM_", "PMI", "OMPI_COMM"))]:
    del environment[variable]


def fail(text):
    print("FAILED: " + text, file=sys.stderr)
    sys.exit(1)


class Run:
    """A command under mpirun, or (ranks None) alone."""

    def __init__(self, ranks, *words, program=PROGRAM):
        # Without gnuplot a run takes half the time.
        launcher = ["/usr/bin/env"] if ranks is None else [MPIRUN, "-n", str(ranks), "--bind-to", "none", "-x"]
        launcher.append("PATH=/nowhere")
        self.command = launcher + [program, *words]
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment, text=True)  # fmt: skip
        self.code = self.out = self.errors = self.lines = None

    def wait(self):
        """Fills code, out, and lines: those of the program itself on stderr."""
        try:
            self.out, self.errors = self.process.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail(f"hangs: {self.command}")
        self.code = self.process.returncode
        usual = ("no picture of the curves", "will wait for one another")  # no gnuplot, few cores
        lines = [line for line in self.errors.splitlines() if line.startswith("trainer: ")]
        self.lines = [line for line in lines if not any(words in line for words in usual)]
        return self

    def expect(self, code, *parts):
        """Ends with this code, and with one line, which has all the parts; without parts there is no line."""
        self.wait()
        said = f"{self.command}\n  code {self.code}\n  {self.errors}"
        if self.code != code or len(self.lines) != (1 if parts else 0):
            fail(f"expected code {code} and {'one line' if parts else 'no line'}: {said}")
        for part in parts:
            if part not in self.lines[0]:
                fail(f"expected {part!r}: {said}")
        return self


def run(ranks, *words):
    return Run(ranks, *words).expect(0)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def contents(folder):
    """The bytes of a run that must not depend on the ranks: checkpoints, and metrics.csv without the seconds."""
    names = sorted(os.listdir(f"{folder}/checkpoints"))
    rows = [line.rsplit(b",", 1)[0] for line in read(f"{folder}/metrics.csv").splitlines()]
    return {"metrics.csv": rows, **{name: read(f"{folder}/checkpoints/{name}") for name in names}}


def expect_same(a, b):
    one, other = contents(a), contents(b)
    if one.keys() != other.keys():
        fail(f"{a} has {sorted(one)}, {b} has {sorted(other)}")
    for name in one:
        if one[name] != other[name]:
            fail(f"{a} and {b} differ in {name}")


def process_of(rank):
    """The process of a rank that runs in this folder."""
    here = os.getcwd()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            mine = os.readlink(f"/proc/{process}/cwd") == here and os.readlink(f"/proc/{process}/exe") == PROGRAM
            if mine and f"OMPI_COMM_WORLD_RANK={rank}".encode() in read(f"/proc/{process}/environ").split(b"\0"):
                return int(process)
        except OSError:
            continue
    return None


def start(ranks, folder, *words):
    """Starts the long run, and returns it once it has saved a step."""
    started = Run(ranks, "long.ini", "--out", folder, *words)
    deadline = time.monotonic() + 60
    while not os.path.exists(f"{folder}/checkpoints/step_00000020.safetensors"):
        if started.process.poll() is not None or time.monotonic() > deadline:
            fail(f"does not start: {started.wait().lines}")
        time.sleep(0.01)
    return started


def expect_gone(ranks):
    deadline = time.monotonic() + 5
    while any(process_of(rank) for rank in range(ranks)):
        if time.monotonic() > deadline:
            fail("processes are left")
        time.sleep(0.05)


def write(name, text, executable=False):
    with open(name, "w") as file:
        file.write(text)
    if executable:
        os.chmod(name, 0o755)


def write_idx(folder, seed):
    """A small data set of files."""
    os.makedirs(folder)
    for name, count in (("train", 64), ("t10k", 16)):
        pixels = bytes((i * i + i // 7 + seed) % 251 for i in range(count * 49))
        with open(f"{folder}/{name}-images-idx3-ubyte", "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 7, 7) + pixels)
        with open(f"{folder}/{name}-labels-idx1-ubyte", "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + bytes(i % 3 for i in range(count)))


def test_bytes():
    for name, text in CONFIGS.items():
        write(f"{name}.ini", text)
        run(None, f"{name}.ini", "--out", f"{name}0")
        for ranks in (1, 2, 4):
            run(ranks, f"{name}.ini", "--out", f"{name}{ranks}")
            expect_same(f"{name}0", f"{name}{ranks}")
    print("no MPI, and 1, 2 and 4 ranks: the same bytes of " + ", ".join(CONFIGS))


def test_threads():
    if len(os.sched_getaffinity(0)) == 1:
        print("threads: not tested, a rank has one core")
        return
    for ranks in (None, 2):  # a checkpoint has the config and with it the threads
        run(ranks, "convnet.ini", "--set", "backend.threads=2", "--out", f"threads{ranks}")
    expect_same("threadsNone", "threads2")
    if contents("convnet0")["metrics.csv"] != contents("threads2")["metrics.csv"]:
        fail("two threads a rank change the metrics")
    print("no MPI, and 2 ranks with two threads each: the same bytes, and the metrics of one thread")


def test_output():
    shown = run(2, "mlp.ini", "--out", "shown").out
    if "\x1b" in shown or "\r" in shown or f"2 ranks on {HOST}: 8 slices of 4 samples, 4 per rank" not in shown:
        fail(f"output: {shown!r}")
    print("one head, and no progress bar in the file behind the launcher's terminal")


def test_bench():
    bench = run(2, "bench", "mlp.ini", "--steps", "3")
    if bench.out.count("of 32 images, 2 ranks") != 1 or "exchange" not in bench.out:
        fail(f"bench: {bench.out}")
    print("a benchmark of two ranks, printed once")


def test_killed():
    run(None, "long.ini", "--out", "whole")
    started = start(4, "killed")
    os.kill(process_of(2), signal.SIGKILL)
    started.wait()
    expect_gone(4)
    if os.path.exists("killed/checkpoints/step_00000400.safetensors"):
        fail("killed too late")
    shutil.copytree("killed", "killed2")
    run(None, "resume", "killed")
    run(2, "resume", "killed2")
    expect_same("whole", "killed")
    expect_same("whole", "killed2")
    print("a rank is killed: the run goes on with one and with two, to the same bytes")


def test_stopped_for_good():
    for rank, reporter in ((2, 0), (0, 1)):
        started = start(4, f"hangs{rank}")
        os.kill(process_of(rank), signal.SIGSTOP)
        before = time.monotonic()
        parts = [f"rank {reporter} of 4 ({HOST}): no answer from rank {rank} ({HOST}) for 2 s"]
        parts.append(f"; go on with: trainer resume hangs{rank}")
        if reporter == 0:
            parts.append("; saved up to step ")
        started.expect(1, *parts)
        if time.monotonic() - before > 2 + 5:
            fail(f"took {time.monotonic() - before:.1f} s to find a rank that hangs")
        expect_gone(4)
    print("a rank hangs: one line names it, and all end")


def test_signals():
    started = start(4, "asked")
    os.kill(process_of(2), signal.SIGTERM)
    started.expect(3, "stopped by SIGTERM of rank 2 after step ", "which is saved; go on with: trainer resume asked")
    started = start(2, "told")
    os.kill(process_of(0), signal.SIGINT)
    started.expect(3, "stopped by SIGINT after step ", "which is saved; go on with: trainer resume told")
    for folder in ("asked", "told"):
        run(2, "resume", folder)
        for name in set(os.listdir(f"{folder}/checkpoints")) - set(os.listdir("whole/checkpoints")):
            os.remove(f"{folder}/checkpoints/{name}")
        expect_same("whole", folder)
    # mpirun waits for a second before it hands the signal on, and may lose what ranks print after that.
    started = start(2, "all", "--set", "train.max_steps=100000")
    started.process.send_signal(signal.SIGTERM)
    started.wait()
    expect_gone(2)
    saved = sorted(os.listdir("all/checkpoints"))[-1]
    if started.code == 0 or len(started.lines) > 1 or any("stopped by SIGTERM" not in line for line in started.lines):
        fail(f"SIGTERM to mpirun: code {started.code}, {started.lines}")
    if int(saved[5:13]) % 20 == 0 and not started.lines:  # it may have been stopped there
        fail(f"SIGTERM to mpirun: the last save is {saved}")
    print("SIGTERM to one rank, SIGINT, SIGTERM to mpirun: all stop after one step, saved")


def test_data():
    write_idx("good/data", 0)
    write_idx("other/data", 1)
    os.makedirs("empty")
    idx = CONFIGS["mlp"].replace(DATA, "[data]\ndataset = idx\npath = data\nnormalization = channel\n")
    for folder in ("good", "other", "empty"):
        write(f"{folder}/idx.ini", idx)
    script = "#!/bin/bash\ncd good\n[[ $OMPI_COMM_WORLD_RANK != 1 ]] || cd ../%s\nexec " + PROGRAM + ' "$@"\n'
    write("empty.sh", script % "empty", True)
    write("other.sh", script % "other", True)
    Run(2, "idx.ini", "--out", "run", program="./empty.sh").expect(1, f"trainer: rank 1 ({HOST}): data: ")
    Run(2, "idx.ini", "--out", "run", program="./other.sh").expect(
        2, f"trainer: rank 1 ({HOST}) has images ", f", rank 0 ({HOST}) has images ", ": every rank needs the same files"
    )
    if os.path.exists("good/run/metrics.csv"):
        fail("a run was begun without its data")
    print("a rank without data, or with other data: it is named")


def test_instructions():
    """One rank runs on a processor without AVX."""
    other = os.path.join(BUILD, "tests/trainer_old_processor")
    if not os.path.exists(other):
        print("no x86: nothing to disguise")
        return
    own = subprocess.run([PROGRAM, "doctor"], capture_output=True, text=True, env=environment).stdout
    script = f'#!/bin/bash\n[[ $OMPI_COMM_WORLD_RANK != 1 ]] || exec {other} "$@"\nexec {PROGRAM} "$@"\n'
    write("old.sh", script, True)
    if "avx" not in own:
        Run(2, "mlp.ini", "--out", "old", program="./old.sh").expect(0)
        print("this processor has no AVX either: both ranks compute alike")
        return
    Run(2, "mlp.ini", "--out", "old", program="./old.sh").expect(
        2, f"trainer: rank 1 ({HOST}) computes with cpu, portable, fp32", f"rank 0 ({HOST}) computes with cpu, avx"
    )
    if os.path.exists("old"):
        fail("a run was begun on processors that compute otherwise")
    Run(2, "mlp.ini", "--out", "old", "--set", "backend.cpu_isa=portable", program="./old.sh").expect(0)
    run(None, "mlp.ini", "--out", "portable", "--set", "backend.cpu_isa=portable")
    expect_same("portable", "old")
    print("a rank with other instructions: it is named, and with those of all the bytes are those of one process")


def test_refused():
    Run(3, "mlp.ini", "--out", "no").expect(2, "3 ranks: expected 1, 2, 4, ..., a power of two")
    Run(4, "mlp.ini", "--set", "train.slices=2", "--out", "no").expect(
        2, "--set train.slices: expected a number that the 4 ranks divide, found 2; for instance --set train.slices=4"
    )
    Run(4, "no.ini").expect(2, "no.ini: cannot open")
    Run(2, "mlp.ini", "--resume", "--overwrite").expect(2, "--resume and --overwrite: expected one of them")
    Run(4, "--nonsense").expect(2, "--nonsense")
    Run(2, "mlp.ini", "--out", "mlp0").expect(2, "mlp0: ")
    Run(4, "bench", "mlp.ini", "--set", "train.slices=2").expect(2, "expected a number that the 4 ranks divide, found 2")
    Run(4, "eval", "mlp0").expect(
        2, "eval: one process is enough; expected no launcher, found one that starts 4 (OMPI_COMM_WORLD_SIZE)"
    )
    run(1, "eval", "mlp0")
    os.makedirs("alone/bin")
    shutil.copy(PROGRAM, "alone/bin/trainer")
    Run(2, "mlp.ini", "--out", "no", program="alone/bin/trainer").expect(
        2, "started as one of 2 ranks (OMPI_COMM_WORLD_SIZE), but this trainer has no MPI: it was built without MPI"
    )
    environment["SLURM_STEP_ID"] = environment["SLURM_STEP_NUM_TASKS"] = "2"
    environment["SLURM_PROCID"] = "0"
    Run(None, "mlp.ini", "--out", "no").expect(2, "started by srun as one of 2 tasks, but without PMIx: use srun --mpi=pmix")
    for name in ("SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"):
        del environment[name]
    if os.path.exists("no"):
        fail("a refused run has a folder")
    print("wrong numbers of ranks, no MPI, other subcommands: one line each")


def main():
    if not MPIRUN or not os.path.exists(os.path.join(BUILD, "trainer_mpi.so")):
        print("skipped: no mpirun, or a build without MPI")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        write("long.ini", LONG)
        for test in (test_bytes, test_threads, test_output, test_bench, test_killed, test_stopped_for_good, test_signals,
                     test_data, test_instructions, test_refused):
            before = time.monotonic()
            test()
            print(f"  {time.monotonic() - before:.1f} s", flush=True)


main()
