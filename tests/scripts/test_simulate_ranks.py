"""scripts/simulate-ranks: the schedule of exchanges holds on up to 64 ranks, a wrong one is found, and the model gives
the steps that it was made from.

usage: test_simulate_ranks.py TRAINER SOURCE_FOLDER
       """

import io
import re
import subprocess
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

SOURCE = Path(sys.argv.pop()).resolve()
TRAINER = Path(sys.argv.pop()).resolve()
SCRIPT = SOURCE / "scripts/simulate-ranks"
sys.path.insert(0, str(SOURCE / "scripts"))

from ranks import checks, delivery, model, schedule  # noqa: E402

COSTS = model.Costs(slice=0.03, sum=1e-10, update=1.5e-10, copy=4e-10, parameters=36924480, statistics=22016)


def bench_file(size, slices, costs, step):
    """What `trainer bench` writes, of ranks with such costs."""
    piece = costs.parameters / size
    sums = costs.sum * model.summed_bytes(size, slices, piece, costs.parameters, costs.statistics)
    parts = {"gather": 0.001, "conv2d": 0.02, "sums of slices": sums, "optimizer": costs.update * piece}
    if size > 1:
        parts["exchange"] = costs.copy * model.received_bytes(size, piece, costs.parameters, costs.statistics)
    text = f"[bench]\nranks = {size}\nstep_seconds = {step}\n"
    text += f"parameter_bytes = {costs.parameters}\nstatistics_bytes = {costs.statistics}\n"
    for number, (kind, seconds) in enumerate(parts.items()):
        text += f"\n[part {number}]\nname = {kind}\nkind = {kind}\nforward_seconds = {seconds}\nbackward_seconds = 0\n"
    return text + f"\n[train]\nslices = {slices}\n"


def run(*arguments):
    done = subprocess.run([sys.executable, "-B", SCRIPT, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


class Schedule(unittest.TestCase):
    def test_holds_up_to_64_ranks(self):
        out = io.StringIO()
        self.assertEqual(checks.check_all(64, out), 0, out.getvalue())
        self.assertIn("ranks: 1, 2, 4, 8, 16, 32, 64\n", out.getvalue())
        for count in re.findall(r"(?:messages|sums|losses): ([\d,]+)", out.getvalue()):
            self.assertGreater(int(count.replace(",", "")), 1000)

    def fault_of(self, changes, check=lambda: delivery.in_step(checks.runs(8)["uneven pieces"])):
        """What is found where functions of the schedule are others."""
        kept = {name: getattr(schedule, name) for name in changes}
        try:
            for name, function in changes.items():
                setattr(schedule, name, function)
            with self.assertRaises(delivery.Fault) as found:
                check()
        finally:
            for name, function in kept.items():
                setattr(schedule, name, function)
        return str(found.exception)

    def test_wrong_schedules_are_found(self):
        def shifted(run, rank, bucket, what):  # everyone sends the next rank's piece
            return schedule.Exchange(what, [schedule.Message(rank ^ k, run.piece(bucket, rank ^ k), run.piece(bucket, rank ^ k))
                                            for k in range(1, run.size)])

        def half(run, rank, bucket, what):  # nobody sends to the last rank
            return schedule.Exchange(what, [schedule.Message(r, run.piece(bucket, rank), run.piece(bucket, r))
                                            for r in range(run.size - 1) if r != rank])

        def hasty(run, rank):  # rank 3 forgets an exchange
            yield schedule.gradients(run, rank, 0)
            if rank != 3:
                yield schedule.spread(run, rank, 0, "updated weights")

        def turned(run, rank):  # rank 3 sends its buckets in another order
            for bucket in range(run.buckets) if rank == 3 else reversed(range(run.buckets)):
                yield schedule.gradients(run, rank, bucket)

        self.assertIn("is not received so", self.fault_of({"spread": shifted}))
        self.assertIn("is not received so", self.fault_of({"spread": half}))
        self.assertIn("is all of", self.fault_of({"step": hasty}))
        buckets = checks.runs(8)["buckets"]
        self.assertIn("is not received so", self.fault_of({"step": turned}, lambda: delivery.in_step(buckets)))
        run = checks.runs(8)["uneven pieces"]
        self.assertTrue(self.fault_of({"step": hasty}, lambda: delivery.in_any_order(run, 1, 0)))

    def test_partners_in_a_circle_wait_for_one_another(self):
        def circle(rank):
            return schedule.Exchange("circle", [schedule.Message((rank + k) % 4, 1, 1) for k in range(1, 4)])

        with self.assertRaises(delivery.Fault):
            delivery.limited(circle, 4, 1)
        delivery.limited(circle, 4, 3)

    def test_another_tree_is_found(self):
        kept = checks.sum_tree
        checks.sum_tree = lambda parts, into, slices: kept(parts[::-1][:2] + parts[:-2], into, slices)
        try:
            with self.assertRaises(delivery.Fault):
                checks.check_sums(8, checks.Counter())
        finally:
            checks.sum_tree = kept


class Model(unittest.TestCase):
    def test_gives_the_steps_that_it_was_made_from(self):
        with tempfile.TemporaryDirectory() as folder:
            for size, step in ((1, 0.29), (2, 0.17)):
                path = Path(folder, f"{size}.ini")
                path.write_text(bench_file(size, 8, COSTS, step))
                figures, parts = model.read_bench(path)
                costs = model.costs_of(figures, parts)
                self.assertAlmostEqual(costs.sum / COSTS.sum, 1)
                cluster = model.Cluster(cores=size, per_host=size, message=0, latency=0)
                found = model.step_seconds(size, 8, costs, cluster)
                self.assertLess(abs(found / step - 1), 0.005)
            files = ("--bench", Path(folder, "1.ini"), "--bench", Path(folder, "2.ini"))
            code, out, errors = run(*files, "--cores", 2, "--most", 4)
            self.assertEqual(code, 0, errors)
            self.assertIn("2 ranks on 2 cores, 8 slices: measured 170.0 ms, model 170.0 ms (+0.0%)", out)

    def test_reads_a_real_measurement(self):
        with tempfile.TemporaryDirectory() as folder:
            config, path = Path(folder, "x.ini"), Path(folder, "bench.ini")
            config.write_text("[data]\ndataset = synthetic\nsynthetic_size = 8\n"
                              "[model]\nhidden = 30\nbatchnorm = custom\n"
                              "[train]\nbatch_size = 32\nslices = 4\n[backend]\ndevice = cpu\nthreads = 1\n")
            command = [TRAINER, "bench", config, "--steps", "5", "--out", path]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            figures, parts = model.read_bench(path)
            found = model.step_seconds(1, 4, model.costs_of(figures, parts), model.Cluster())
            self.assertAlmostEqual(found / figures["step"], 1)

    def test_limits(self):
        """Without a link's cost a step is divided by the number of ranks; with a slow link alone it is the link's."""
        free = model.Costs(slice=1, parameters=64 * 1024)
        fast = model.Cluster(bandwidth=1e18, latency=0, message=0)
        for size in (2, 16):
            self.assertAlmostEqual(model.step_seconds(size, 16, free, fast), 16 / size)
        slow = model.Cluster(bandwidth=1e6, latency=0, message=0)
        for size in (2, 4, 16):
            expected = 2 * 64 * 1024 * (1 - 1 / size) / 1e6
            found = model.step_seconds(size, 16, model.Costs(slice=1e-9, parameters=64 * 1024), slow)
            self.assertLess(abs(found / expected - 1), 0.05)

    def test_buckets_hide_behind_the_backward_pass(self):
        """Four equal layers whose backward passes take 0.2 s each, the last one first: of what is sent in a second at the
        end, all but the first layer's share is on its way in time."""
        layers = ((0, 0.0), (64 * 1000, 0.2), (64 * 1000, 0.2), (64 * 1000, 0.2), (64 * 1000, 0.2), (0, 0.0))
        costs = model.Costs(slice=1, parameters=4 * 64 * 1000, bucket=64 * 1000, layers=layers)
        self.assertEqual([end for end, _ in costs.buckets()], [64000, 128000, 192000, 256000])
        self.assertTrue(all(abs(left - 0.2 * b) < 1e-9 for b, (_, left) in enumerate(costs.buckets())))
        for seconds in (0.1, 0.4, 4):  # of one way of the exchange
            cluster = model.Cluster(bandwidth=4 * 64 * 1000 / 2 / seconds, latency=0, message=0)
            found = model.step_seconds(2, 2, costs, cluster)
            gradients = seconds / 4 if seconds / 4 <= 0.2 else 0.4 + seconds - 1
            self.assertAlmostEqual(found, 1 + gradients + seconds, places=2)
            at_once = model.step_seconds(2, 2, replace(costs, bucket=0), cluster)
            self.assertAlmostEqual(at_once, 1 + 2 * seconds, places=2)
            self.assertLess(found, at_once - 0.05)
            self.assertEqual(model.step_seconds(2, 2, costs, replace(cluster, per_host=2, cores=2)),
                             model.step_seconds(2, 2, replace(costs, layers=()), replace(cluster, per_host=2, cores=2)))  # fmt: skip

    def test_a_core_touches_what_it_sends(self):
        """Each of two ranks sends half of the gradients and gets the other half. Its core's work on them is hidden by a link that
        takes longer, but not by the backward pass."""
        layers = ((64 * 1000, 0.2),) * 4
        costs = model.Costs(slice=1, parameters=4 * 64 * 1000, bucket=64 * 1000, layers=layers)
        of_all = 0.04  # seconds of the core for all gradients
        fast = model.Cluster(bandwidth=1e18, latency=0, message=0, touch=of_all / costs.parameters)
        slow = replace(fast, bandwidth=4 * 64 * 1000 / 2 / 0.4)
        at_once = replace(costs, bucket=0)
        self.assertAlmostEqual(model.step_seconds(2, 2, at_once, fast), 1 + 2 * of_all)
        self.assertAlmostEqual(model.step_seconds(2, 2, at_once, slow), 1 + 2 * 0.4, places=2)
        self.assertAlmostEqual(model.step_seconds(2, 2, costs, fast), 1 + 2 * of_all)
        self.assertAlmostEqual(model.step_seconds(2, 2, costs, slow), 1 + 3 / 4 * of_all + 0.1 + 0.4, places=2)
        local = replace(fast, per_host=2, cores=2)
        self.assertAlmostEqual(model.step_seconds(2, 2, costs, local), 1)

    def test_ranks_share_the_cores_of_a_machine(self):
        two = model.step_seconds(4, 8, COSTS, model.Cluster(cores=2, per_host=4))
        four = model.step_seconds(4, 8, COSTS, model.Cluster(cores=4, per_host=4))
        self.assertLess(abs(two / four / 2 - 1), 0.05)

    def test_other_programs_take_their_share_of_the_cores(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "1.ini")
            path.write_text(bench_file(1, 8, COSTS, 0.35))
            figures, parts = model.read_bench(path)
            busy = model.Cluster(cores=2, others=3, message=0)
            costs = model.costs_of(figures, parts, busy.turns())
            self.assertAlmostEqual(model.step_seconds(1, 8, costs, busy), 0.35)
            self.assertAlmostEqual(model.step_seconds(1, 8, costs, model.Cluster(cores=2)), 0.35 / 2)

    def test_a_table(self):
        costs = ("--slice", 0.03, "--sum", 1e-10, "--update", 1e-10, "--parameters", 36924480)
        code, out, errors = run(*costs, "--most", 16)
        self.assertEqual(code, 0, errors)
        self.assertEqual(len(re.findall(r"^\| (1|2|4|8|16) \|", out, re.M)), 5)
        speedups = [float(row.split("|")[3]) for row in re.findall(r"^\| \d.*$", out, re.M)]
        self.assertEqual(speedups, sorted(speedups))
        self.assertEqual(run("--most", 3)[0], 2)
        self.assertEqual(run("--most", 4)[0], 2)


if __name__ == "__main__":
    unittest.main()
