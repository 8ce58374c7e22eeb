"""Whole training runs of the trainer and of PyTorch agree, step by step; a part of what scripts/compare-equivalence compares."""

import os
import subprocess
import unittest

from test_exchange import HERE, TORCH, needs_torch


class Equivalence(unittest.TestCase):
    @needs_torch
    def test_quick_cases_agree(self):
        program = [TORCH, "-B", os.path.join(HERE, "equivalence"), os.environ["TRAINER"], "--quick"]
        done = subprocess.run(program, capture_output=True, text=True, timeout=900)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
