"""Event files, read by TensorBoard's own reader."""

import os
import unittest

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginEventAccumulator
from tensorboard.util import tensor_util

import support

TAGS = {
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/test": "test_accuracy",
    "training/learning_rate": "learning_rate",
    "training/epoch": "epoch",
}


def read(run):
    events = event_accumulator.EventAccumulator(run + "/tensorboard", size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    return events


class Tensorboard(unittest.TestCase):
    def assert_scalars_are_metrics(self, events, run):
        rows = support.metrics(run)
        for tag, column in TAGS.items():
            scalars = events.Scalars(tag)
            self.assertEqual([s.step for s in scalars], [row["step"] for row in rows], tag)
            for scalar, row in zip(scalars, rows):
                # A float, and nine digits of one.
                self.assertAlmostEqual(scalar.value, row[column], delta=1e-7 * (1 + abs(row[column])))

    def test_scalars_are_those_of_metrics_csv(self):
        run = support.train(support.new_folder(self), "report.tensorboard=true")
        events = read(run)
        self.assertEqual(len(support.metrics(run)), 3)
        self.assert_scalars_are_metrics(events, run)
        self.assertTrue(all(s.value > 0 for s in events.Scalars("training/images_per_second")))
        self.assertEqual(events.Tags()["histograms"], [])

    def test_a_run_that_was_killed_and_goes_on_has_single_curves(self):
        folder = support.new_folder(self)
        settings = ["report.tensorboard=true", "train.max_steps=4000", "train.eval_freq=20", "checkpoint.freq=150"]
        run = support.kill(folder, 400, *settings)  # rows that no checkpoint has are made again
        support.trainer("resume", run, "--quiet")
        self.assertEqual(len(os.listdir(run + "/tensorboard")), 2)
        self.assertEqual(support.metrics(run)[-1]["step"], 4000)
        self.assert_scalars_are_metrics(read(run), run)

    def test_config_is_text(self):
        run = support.train(support.new_folder(self), "report.tensorboard=true")
        events = PluginEventAccumulator(run + "/tensorboard")
        events.Reload()
        self.assertEqual(events.SummaryMetadata("config").plugin_data.plugin_name, "text")
        (event,) = events.Tensors("config")
        text = tensor_util.make_ndarray(event.tensor_proto).item().decode()
        with open(run + "/resolved.ini") as file:
            self.assertEqual([line[4:] for line in text.splitlines()], file.read().splitlines())

    def test_histograms_of_weights_and_gradients(self):
        run = support.train(support.new_folder(self), "report.tensorboard=true", "report.histograms=true")
        events = read(run)
        tags = events.Tags()["histograms"]
        layers = ["00_conv2d", "01_batchnorm", "04_conv2d", "05_batchnorm", "10_linear"]
        self.assertCountEqual(
            tags, [f"{w}/{layer}.{p}" for w in ("weights", "gradients") for layer in layers for p in ("weight", "bias")]
        )
        for tag in tags:
            steps = events.Histograms(tag)
            self.assertEqual([h.step for h in steps], [4, 8, 12])
            for h in steps:
                self.assertEqual(sum(h.histogram_value.bucket), h.histogram_value.num)
                self.assertLessEqual(h.histogram_value.min, h.histogram_value.max)
        first, last = (events.Histograms("weights/00_conv2d.weight")[i].histogram_value for i in (0, -1))
        self.assertEqual(first.num, 4 * 3 * 3 * 3)
        self.assertNotEqual(first.sum, last.sum)


if __name__ == "__main__":
    unittest.main()
