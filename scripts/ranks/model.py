"""How long a step takes on many ranks, from what `trainer bench` measured on few.

The model follows the messages of a step (schedule.py) one by one. A rank computes its slices, sums and updates for the
seconds that they took when they were measured; ranks that share the cores of a machine take their turns. A message to
another machine waits for its sender's link and its receiver's, which each carry one message at a time, and arrives a
latency later; one within a machine is copied by the receiver's core. Each message also costs both sides `message`
seconds of their core. Gradients are sent when all slices are computed: what is hidden behind the backward pass where
they are sent in buckets (backend.exchange_bucket_mb) is left out, so a step may be shorter than the model says.
"""

import configparser
import functools
import random
from dataclasses import dataclass, fields, replace

from ranks.schedule import COMMAND, WORDS, Run, cut, gradients, others, spread


@dataclass
class Costs:
    """Seconds and bytes of a rank whose cores are its own."""

    slice: float = 0.0  # one slice
    sum: float = 0.0  # adding one byte of an arena to another
    update: float = 0.0  # the optimizer, of one byte
    copy: float = 0.0  # one byte from another rank of the same machine
    parameters: int = 0  # bytes of an arena
    statistics: int = 0

    def faster(self, factor):
        return replace(self, **{name: getattr(self, name) / factor for name in ("slice", "sum", "update", "copy")})


@dataclass
class Cluster:
    cores: int = 1  # of a machine, counted in what a rank uses
    per_host: int = 1  # ranks on a machine
    bandwidth: float = 1.1e9  # bytes a second, each way
    latency: float = 20e-6
    message: float = 1e-6
    uneven: float = 0.0  # deviation of a rank's time for its slices, relative
    others: float = 0.0  # busy threads of other programs on each machine

    def turns(self):
        """How much longer a rank takes that shares the cores."""
        return max(1.0, (self.per_host + self.others) / self.cores)


# --- what was measured ---


def read_bench(path):
    """(figures of section [bench], seconds by part) of a file of `trainer bench --out`."""
    parser = configparser.ConfigParser(interpolation=None, strict=True, comment_prefixes=(";", "#"))
    parser.optionxform = str
    with open(path, encoding="utf-8") as file:
        parser.read_file(file)
    bench, parts = parser["bench"], {}
    for name in parser.sections():
        if name.startswith("part "):
            part = parser[name]
            seconds = float(part["forward_seconds"]) + float(part["backward_seconds"])
            parts[part["kind"]] = parts.get(part["kind"], 0) + seconds
    if "ranks" not in bench or "sums of slices" not in parts:
        raise ValueError(f"{path}: expected a measurement of a config with train.slices > 1")
    figures = {"ranks": int(bench["ranks"]), "step": float(bench["step_seconds"]),
               "slices": int(parser["train"]["slices"]), "parameters": int(bench["parameter_bytes"]),
               "statistics": int(bench["statistics_bytes"])}  # fmt: skip
    return figures, parts


def summed_bytes(size, slices, piece, parameters, statistics):
    """Bytes that a rank adds in a step: its own slices, then its pieces of all ranks."""
    return (slices // size - 1) * (parameters + statistics) + (size - 1) * (piece + statistics)


def received_bytes(size, piece, parameters, statistics):
    """Bytes that a rank gets in a step: its piece of all gradients, and the others' pieces of the weights."""
    return (size - 1) * (piece + statistics + WORDS) + parameters - piece


def costs_of(figures, parts, turns=1.0):
    """The costs of a rank among `ranks` on one machine, where each took so much longer than with a core of its own. What the parts do not explain
    of the step is counted as the slices', so the model gives this step for this number of ranks."""
    size, slices, parameters = figures["ranks"], figures["slices"], figures["parameters"]
    statistics = figures["statistics"]
    piece = parameters / size
    sums, exchange, update = parts["sums of slices"], parts.get("exchange", 0), parts["optimizer"]
    rest = figures["step"] - sums - exchange - update
    if rest <= 0:
        raise ValueError("sums, exchanges and updates take longer than the step: the machine was too busy")
    received = received_bytes(size, piece, parameters, statistics) if size > 1 else 0
    costs = Costs(slice=rest / (slices // size), sum=sums / summed_bytes(size, slices, piece, parameters, statistics),
                  update=update / piece, copy=exchange / received if received else 0, parameters=parameters,
                  statistics=statistics)  # fmt: skip
    return costs.faster(turns)


# --- a step ---


class Links:
    """The links and cores of all ranks while messages pass."""

    def __init__(self, size, costs, cluster):
        self.costs, self.cluster = costs, cluster
        self.share = cluster.turns()
        hosts = (size - 1) // cluster.per_host + 1
        self.out, self.into = [0.0] * hosts, [0.0] * hosts

    def exchange(self, begun, lists):
        """Returns when each rank is done with an exchange that it begins at begun[rank]. Nothing is buffered: a message
        waits for both sides."""
        size, cluster, done = len(begun), self.cluster, list(begun)
        wire, overhead, per_host = 1 / cluster.bandwidth, cluster.message * self.share, cluster.per_host
        copy, latency = self.costs.copy * self.share, cluster.latency
        places = [0] * size
        core = list(begun)  # until when a rank's core is busy with its messages
        left = True
        while left:
            left = False
            for rank in range(size):
                if places[rank] == len(lists[rank]):
                    continue
                other, send, count = lists[rank][places[rank]]
                places[rank] += 1
                left = True
                if not send:
                    continue
                core[rank] += overhead * count
                core[other] += overhead * count
                ready = begun[rank] if begun[rank] > begun[other] else begun[other]
                source, target = rank // per_host, other // per_host
                if source == target:
                    core[other] = max(core[other], ready) + send * copy
                    done[other] = max(done[other], core[other])
                    continue
                self.out[source] = max(self.out[source], ready, core[rank]) + send * wire
                self.into[target] = max(self.into[target] + send * wire, self.out[source] + latency)
                done[other] = max(done[other], self.into[target])
        return [max(done[rank], core[rank]) for rank in range(size)]


def joined(messages):
    """(rank, bytes, messages) with the messages to one rank together."""
    sums = {}
    for message in messages:
        size, count = sums.get(message.rank, (0, 0))
        sums[message.rank] = (size + message.send, count + (message.send > 0))
    return [(rank, size, count) for rank, (size, count) in sums.items()]


@functools.lru_cache(maxsize=1)
def lists_of(size, parameters, statistics):
    """(the run, joined messages by rank of the gradients' exchange, and of the weights')"""
    run = Run(size, cut(parameters, size), statistics)
    sums = [joined(gradients(run, rank, 0).messages + others(run, rank).messages) for rank in range(size)]
    return run, sums, [joined(spread(run, rank, 0, "updated weights").messages) for rank in range(size)]


def step_seconds(size, slices, costs, cluster, steps=3, seed=1):
    """Seconds of a step on `size` ranks: of the last of some, as ranks need not begin at the same time."""
    run, sums, weights = lists_of(size, costs.parameters, costs.statistics)
    links = Links(size, costs, cluster)
    draws, share = random.Random(seed), links.share
    clock = [0.0] * size
    if size == 1 or cluster.uneven == 0:
        steps = 2  # all are the same, but for the first
    ends = []
    for _ in range(steps):
        heard = clock[0] + cluster.latency + COMMAND / cluster.bandwidth
        begun = [clock[0]] + [max(clock[rank], heard + rank * cluster.message) for rank in range(1, size)]
        own = slices // size
        seconds = share * (own * costs.slice + (own - 1) * (costs.parameters + costs.statistics) * costs.sum)
        clock = [time + seconds * (1 + cluster.uneven * abs(draws.gauss(0, 1))) for time in begun]
        if size > 1:
            clock = links.exchange(clock, sums)
        for rank in range(size):
            piece = run.bytes_of(rank)
            clock[rank] += share * ((size - 1) * (piece + run.statistics) * costs.sum + piece * costs.update)
        if size > 1:
            clock = links.exchange(clock, weights)
        ends.append(clock[0])
    return ends[-1] - (ends[-2] if len(ends) > 1 else 0)


def options_of(costs):
    """The costs as options of scripts/simulate-ranks."""
    values = {entry.name: getattr(costs, entry.name) for entry in fields(costs)}
    texts = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return " ".join(f"--{name} {text}" for name, text in texts.items() if values[name])
