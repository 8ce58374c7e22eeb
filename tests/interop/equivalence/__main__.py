"""Whole runs of the trainer against PyTorch, step by step: batches, masks, augmentation, layers, losses, gradients,
optimizers, schedules, averages and evaluations. Both start from the same weights; after every fifth of 20 steps all tensors
of the checkpoint and all figures of metrics.csv are compared. See compare.py for the bounds."""

import argparse
import concurrent.futures
import os
import re
import sys
import tempfile
import time

import torch

import images
from cases import CASES, MUST_DIFFER, QUICK
from combinations import combinations
from compare import compare_case


def parse_arguments():
    parser = argparse.ArgumentParser(prog="equivalence", description=__doc__)
    parser.add_argument("trainer", metavar="TRAINER", help="the program")
    parser.add_argument("--quick", action="store_true", help=f"{len(QUICK)} of the {len(CASES)} cases")
    parser.add_argument("--cases", metavar="REGEX", default="", help="only cases whose name matches")
    parser.add_argument("--random", metavar="N", type=int, default=0, help="N random combinations instead of the cases")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random combinations, default 1")
    parser.add_argument("--precision", choices=("fp64", "fp32"), default="fp64")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="cases at a time, default one per core")
    return parser.parse_args()


def chosen(arguments):
    """name -> (changes, changes of the reference alone). A case of the latter kind is good when it differs."""
    if arguments.random > 0:
        cases = combinations(arguments.random, arguments.seed)
    else:
        cases = {name: CASES[name] for name in (QUICK if arguments.quick else CASES)}
    every = {name: (changes, None) for name, changes in cases.items()}
    every.update(MUST_DIFFER)
    return {name: case for name, case in every.items() if re.search(arguments.cases, name)}


def judge(arguments, folder, number, changes, reference_changes):
    """Whether the case is as it should be, and its line."""
    torch.set_num_threads(1)
    folders = os.path.join(folder, str(number)), os.path.join(folder, "images")
    try:
        agree, differences = compare_case(arguments.trainer, *folders, changes, arguments.precision, reference_changes)
    except (RuntimeError, KeyError, OSError) as error:
        return False, f"{type(error).__name__}: {error}"
    return agree != bool(reference_changes), differences.text()


def keys_of(changes):
    return ", ".join(f"{key} = {value}" for key, value in changes.items())


def report(name, case, good, text):
    expected = "differ, as they must" if case[1] else "agree"
    print(f"{expected if good else 'FAILED':8} {name}: {text}{'' if good else f' [{keys_of(case[0])}]'}", flush=True)


def compare_all(arguments, folder):
    """The number of cases that are not as they should be."""
    cases, bad = chosen(arguments), 0
    images.write_all(os.path.join(folder, "images"))
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        running = {pool.submit(judge, arguments, folder, number, *case): name
                   for number, (name, case) in enumerate(cases.items())}
        for future in concurrent.futures.as_completed(running):
            good, text = future.result()
            report(running[future], cases[running[future]], good, text)
            bad += not good
    print(f"{len(cases) - bad} of {len(cases)} cases are as they should be ({arguments.precision})")
    return bad if cases else 1


def main():
    arguments = parse_arguments()
    arguments.trainer = os.path.abspath(arguments.trainer)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="equivalence-") as folder:
        bad = compare_all(arguments, folder)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
