"""Trainer against PyTorch on the same networks: alternating, in one run, and the table of it. See scripts/compare-pytorch."""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from experiment import Experiment

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("convnet", "mlp_numpy", "mlp_best")
SYNTHETIC_BATCHES = 4
SETTLE_SECONDS = 0.2  # threads that wait for work spin for a while before they sleep


@dataclass
class Comparison:
    """Images per second, a figure per round."""

    config: str
    precision: str
    batches: dict  # phase -> (ours, theirs)
    setups: dict  # phase -> how PyTorch ran
    ours: dict = field(default_factory=lambda: {"training": [], "evaluation": []})
    theirs: dict = field(default_factory=lambda: {"training": [], "evaluation": []})

    def add_ours(self, experiment):
        self.ours["training"].append(experiment.number("bench", "train_images_per_second"))
        if "evaluation" in self.batches:
            self.ours["evaluation"].append(experiment.number("bench", "evaluate_images_per_second"))

    def rows(self):
        for phase in ("training", "evaluation"):
            ours, theirs = self.ours[phase], self.theirs[phase]
            if not ours:
                continue
            ratio = statistics.median(ours) / statistics.median(theirs)
            batches = " / ".join(str(size) for size in self.batches[phase])
            yield [self.config, self.precision, phase, batches, rate(ours), rate(theirs), f"{ratio:.2f}",
                   self.setups[phase]]  # fmt: skip


def rate(figures):
    """The median, and in brackets the lowest and the highest."""
    return f"{statistics.median(figures):,.0f} ({min(figures):,.0f} - {max(figures):,.0f})"


def markdown_table(header, rows):
    lines = [header, ["---" if i < 4 or i == len(header) - 1 else "---:" for i in range(len(header))], *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


HEADER = ["config", "precision", "phase", "batch: trainer / PyTorch", "trainer, images/s", "PyTorch, images/s", "ratio",
          "PyTorch at its best"]  # fmt: skip


def run_trainer(arguments, config, precision, steps):
    """One measurement of ours, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "bench.ini")
        command = [arguments.trainer, "bench", config_path(config), "--steps", str(steps), "--out", out]
        for key in (f"device={arguments.device}", f"threads={arguments.threads}", f"precision={precision}"):
            command += ["--set", f"backend.{key}"]
        for override in arguments.set:
            command += ["--set", override]
        if arguments.no_evaluation:
            command.append("--no-evaluation")
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return Experiment(out.read_text())


def user_seconds(arguments, config, precision, experiment, steps):
    """The processor time of the trainer's own code in a training of `steps` steps on images of the experiment's shape."""
    size, channels, classes = (experiment.text("bench", key) for key in ("height", "channels", "classes"))
    settings = [f"train.max_steps={steps}", "train.eval_freq=1000000", "train.eval_train=1", "schedule.name=constant",
                "data.dataset=synthetic", "data.synthetic_test=1", f"data.synthetic_size={size}",
                f"data.synthetic_train={SYNTHETIC_BATCHES * experiment.count('bench', 'train_batch')}",
                f"data.synthetic_channels={channels}", f"data.synthetic_classes={classes}",
                "backend.device=cpu", "backend.threads=1", f"backend.precision={precision}"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.trainer, "train", config_path(config), "--out", Path(folder, "run")]
        for override in [*settings, *arguments.set]:
            command += ["--set", override]
        with open(Path(folder, "errors"), "w+") as errors:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            errors.seek(0)
            if process.returncode != 0:
                raise RuntimeError(errors.read().strip())
    return usage.ru_utime


def processor_seconds(arguments, config, precision, experiment):
    """Of a step: what more steps take beyond one, which takes the start along."""
    one, more = (user_seconds(arguments, config, precision, experiment, steps) for steps in (1, 1 + arguments.steps))
    return (more - one) / arguments.steps


def config_path(config):
    return config if config.endswith(".ini") else ROOT / "configs" / f"{config}.ini"


def compare(arguments, config, precision, modes, best_session):
    """`rounds` times ours, then theirs."""
    experiment = run_trainer(arguments, config, precision, 1)
    trainer, evaluator, size = best_session(experiment, precision, arguments.device, modes, not arguments.no_evaluation)
    batches, setups = {"training": (experiment.count("bench", "train_batch"),) * 2}, {"training": str(trainer.setup)}
    if evaluator:
        batches["evaluation"] = (experiment.count("bench", "evaluate_batch"), size)
        setups["evaluation"] = str(evaluator.setup)
    comparison = Comparison(Path(config).stem, precision, batches, setups)
    for number in range(arguments.rounds):
        time.sleep(SETTLE_SECONDS)
        if arguments.processor_time:
            seconds = processor_seconds(arguments, config, precision, experiment)
            comparison.ours["training"].append(batches["training"][0] / seconds)
        else:
            comparison.add_ours(run_trainer(arguments, config, precision, arguments.steps))
        comparison.theirs["training"].append(batches["training"][1] / trainer.train_seconds(arguments.steps))
        if evaluator:
            comparison.theirs["evaluation"].append(evaluator.evaluate_images_per_second(size))
        print(f"{comparison.config}, {precision}, round {number + 1} of {arguments.rounds}:", *(
            f"{phase} {comparison.ours[phase][-1]:,.0f} and {comparison.theirs[phase][-1]:,.0f} images/s"
            for phase in ("training", "evaluation") if comparison.ours[phase]), file=sys.stderr)  # fmt: skip
    return comparison


def processor_name():
    try:
        match = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match.group(1) if match else platform.processor() or platform.machine()


def compare_all(arguments, best_session, every_mode):
    """On a GPU each way of running PyTorch for itself, what fails left out and named; else the best of them together."""
    modes = every_mode if arguments.compile else every_mode[:1]
    groups = [(mode,) for mode in modes] if arguments.device == "cuda" else [modes]
    comparisons = []
    for config in arguments.configs:
        for precision in arguments.precision:
            for group in groups:
                try:
                    comparisons.append(compare(arguments, config, precision, group, best_session))
                except RuntimeError as error:
                    if arguments.device != "cuda":
                        raise
                    print(f"compare-pytorch: {config}, {precision}, {group[0]} left out: {error}", file=sys.stderr)
    if not comparisons:
        raise RuntimeError("nothing could be compared")
    return comparisons


def report(arguments, comparisons, backend, pytorch):
    rows = [row for comparison in comparisons for row in comparison.rows()]
    return (
        f"{processor_name()}, {arguments.threads} threads. trainer: {backend}. PyTorch {pytorch}.\n"
        f"Medians of {arguments.rounds} rounds that alternate between the two, {arguments.steps} training steps each; "
        f"in brackets the lowest and the highest.{' Seconds are processor time.' if arguments.processor_time else ''}\n\n" + markdown_table(HEADER, rows)
    )


def parse_arguments(words):
    parser = argparse.ArgumentParser(prog="compare-pytorch", description=__doc__)
    parser.add_argument("configs", nargs="*", default=CONFIGS, metavar="CONFIG",
                        help=f"name of a config in configs/, or a file; default: {' '.join(CONFIGS)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="of ours, then theirs; default: 5")
    parser.add_argument("--steps", type=int, default=20, help="training steps in a round; default: 20")
    parser.add_argument("--threads", type=int, default=0, help="of both; default: the number of cores")
    parser.add_argument("--precision", action="append", choices=("fp32", "tf32", "bf16"),
                        help="fp32, bf16 (autocast in PyTorch), or tf32 (CUDA); may be repeated; default: fp32")  # fmt: skip
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--compile", action="store_true", help="also try torch.compile; on CUDA with CUDA graphs, and a CUDA graph of the whole eager step")
    parser.add_argument("--processor-time", action="store_true",
                        help="compare the processor time of one thread in training, on a CPU that other work keeps busy")  # fmt: skip
    parser.add_argument("--no-evaluation", action="store_true", help="compare training alone")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
                        help="set a key of the configs, for both; may be repeated")  # fmt: skip
    parser.add_argument("--out", help="also write the table to this file")
    parser.add_argument("--trainer", default=ROOT / "build" / "trainer", help="the program; default: build/trainer")
    arguments = parser.parse_args(words)
    arguments.precision = arguments.precision or ["fp32"]
    if arguments.rounds < 1 or arguments.steps < 1:
        parser.error("--rounds and --steps: expected 1 or more")
    if arguments.processor_time and (arguments.device != "cpu" or arguments.threads > 1):
        parser.error("--processor-time: expected one thread of a CPU")
    if arguments.processor_time:
        arguments.threads, arguments.no_evaluation = 1, True
    return arguments


def main():
    arguments = parse_arguments(sys.argv[1:])
    import torch  # not needed for --help, which answers at once

    import session
    from session import COMPILED, EAGER, GRAPH, best_session

    if arguments.processor_time:
        session.clock = time.process_time

    if arguments.threads > 0:
        torch.set_num_threads(arguments.threads)
    arguments.threads = torch.get_num_threads()
    try:
        modes = (EAGER, COMPILED, GRAPH) if arguments.device == "cuda" else (EAGER, COMPILED)
        comparisons = compare_all(arguments, best_session, modes)
        backend = run_trainer(arguments, arguments.configs[0], arguments.precision[0], 1).text("bench", "backend")
    except (RuntimeError, ValueError) as error:
        sys.exit(f"compare-pytorch: {error}")
    text = report(arguments, comparisons, backend, torch.__version__)
    print(text, end="")
    if arguments.out:
        Path(arguments.out).write_text(text)


if __name__ == "__main__":
    main()
