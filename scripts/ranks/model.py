"""How long a step takes on many ranks, from what `trainer bench` measured on few.

The model follows the messages of a step (schedule.py) one by one. A rank computes its slices, sums and updates for the
seconds that they took when they were measured; ranks that share the cores of a machine take their turns. A message to
another machine waits for its sender's link and its receiver's, which each carry one message at a time, and arrives a
latency later; one within a machine is copied by the receiver's core. Each message also costs both sides `message`
seconds of their core, and each byte between machines `touch` seconds. A core that computes does so between its computing, one
that waits does so while the link is busy.

Between machines, gradients are sent in buckets, each once the backward pass of the last slice has left its layers, and
so are weights once they are updated (backend.exchange_bucket_mb). Costs that are given as options know no layers; then
all is sent at once.
"""

import configparser
import functools
import random
from dataclasses import dataclass, fields, replace

from ranks.schedule import COMMAND, WORDS, Run, cut_buckets, gradients, others, spread


WHOLE = ("muon",)  # optimizers of whole matrices


@dataclass
class Costs:
    """Seconds and bytes of a rank whose cores are its own."""

    slice: float = 0.0  # one slice
    sum: float = 0.0  # adding one byte of an arena to another
    update: float = 0.0  # the optimizer, of one byte
    copy: float = 0.0  # one byte from another rank of the same machine
    parameters: int = 0  # bytes of an arena
    statistics: int = 0
    bucket: int = 0  # bytes; 0: all at once
    layers: tuple = ()  # (bytes of parameters, share of a slice's time that the backward pass takes), in the network's order

    def buckets(self):
        """(where each bucket ends in the arena, the share of a slice's time that is left once its gradients are there), in
        the order of the arena."""
        total = sum(size for size, _ in self.layers)
        if not total:
            return [(self.parameters, 0.0)]
        found, end, size, left = [], self.parameters, 0, sum(share for _, share in self.layers)
        for place in reversed(range(len(self.layers))):
            size += self.layers[place][0] * self.parameters / total
            left -= self.layers[place][1]
            if self.bucket and size >= self.bucket and sum(size for size, _ in self.layers[:place]):
                found.append((round(end), max(left, 0.0)))
                end, size = end - size, 0
        return [*reversed(found + [(round(end), 0.0)])]

    def faster(self, factor):
        return replace(self, **{name: getattr(self, name) / factor for name in ("slice", "sum", "update", "copy")})


@dataclass
class Cluster:
    cores: int = 1  # of a machine, counted in what a rank uses
    per_host: int = 1  # ranks on a machine
    bandwidth: float = 1.1e9  # bytes a second, each way
    latency: float = 20e-6
    message: float = 1e-6
    touch: float = 0.0  # seconds of a core for a byte that it sends to another machine, or gets from there
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
    bench, parts, layers = parser["bench"], {}, []
    for name in parser.sections():
        if name.startswith("part "):
            part = parser[name]
            backward = float(part["backward_seconds"])
            parts[part["kind"]] = parts.get(part["kind"], 0) + float(part["forward_seconds"]) + backward
            layers.append((int(part.get("parameter_bytes", 0)), backward))
    if "ranks" not in bench or "sums of slices" not in parts:
        raise ValueError(f"{path}: expected a measurement of a config with train.slices > 1")
    seconds = sum(parts.values()) - sum(parts.get(kind, 0) for kind in ("sums of slices", "exchange", "optimizer"))
    bucket = float(parser["backend"].get("exchange_bucket_mb", 0)) if parser.has_section("backend") else 0
    whole = parser.get("optimizer", "name", fallback="") in WHOLE or parser.get("backend", "device", fallback="") == "cuda"
    figures = {"ranks": int(bench["ranks"]), "step": float(bench["step_seconds"]),
               "slices": int(parser["train"]["slices"]), "parameters": int(bench["parameter_bytes"]),
               "statistics": int(bench["statistics_bytes"]), "bucket": 0 if whole else round((bucket or 4) * 2**20),
               "layers": tuple((size, backward / seconds) for size, backward in layers)}  # fmt: skip
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
                  statistics=statistics, bucket=figures.get("bucket", 0), layers=figures.get("layers", ()))  # fmt: skip
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
        """Returns when each rank is done with an exchange that it begins at begun[rank], and the seconds that each core touches
        its bytes. Nothing is buffered: a message waits for both sides."""
        size, cluster, done = len(begun), self.cluster, list(begun)
        wire, overhead, per_host = 1 / cluster.bandwidth, cluster.message * self.share, cluster.per_host
        copy, touch, latency = self.costs.copy * self.share, cluster.touch * self.share, cluster.latency
        places = [0] * size
        core = list(begun)  # until when a rank's core is busy with its messages
        touched = [0.0] * size
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
                touched[rank] += send * touch
                touched[other] += send * touch
                self.out[source] = max(self.out[source], ready, core[rank]) + send * wire
                self.into[target] = max(self.into[target] + send * wire, self.out[source] + latency)
                done[other] = max(done[other], self.into[target])
        return [max(done[rank], core[rank], begun[rank] + touched[rank]) for rank in range(size)], touched


def joined(messages):
    """(rank, bytes, messages) with the messages to one rank together."""
    sums = {}
    for message in messages:
        size, count = sums.get(message.rank, (0, 0))
        sums[message.rank] = (size + message.send, count + (message.send > 0))
    return [(rank, size, count) for rank, (size, count) in sums.items()]


@functools.lru_cache(maxsize=1)
def lists_of(size, ends, statistics):
    """(the run, joined messages by bucket and rank of the gradients' exchanges, the same of the others', of the weights')"""
    run, ranks = Run(size, cut_buckets(ends, size), statistics), range(size)
    sums = [[joined(gradients(run, rank, b).messages) for rank in ranks] for b in range(run.buckets)]
    weights = [[joined(spread(run, rank, b, "updated weights").messages) for rank in ranks] for b in range(run.buckets)]
    return run, sums, [joined(others(run, rank).messages) for rank in ranks], weights


def latest(*times):
    return [max(of_rank) for of_rank in zip(*times)]


def plus(times, seconds):
    return [time + more for time, more in zip(times, seconds)]


def step_seconds(size, slices, costs, cluster, steps=3, seed=1):
    """Seconds of a step on `size` ranks: of the last of some, as ranks need not begin at the same time."""
    buckets = costs.buckets() if size > cluster.per_host else [(costs.parameters, 0.0)]
    run, sums, rest, weights = lists_of(size, tuple(end for end, _ in buckets), costs.statistics)
    links = Links(size, costs, cluster)
    draws, share, own = random.Random(seed), links.share, slices // size
    clock = [0.0] * size
    if size == 1 or cluster.uneven == 0:
        steps = 2  # all are the same, but for the first
    ends = []
    for _ in range(steps):
        heard = clock[0] + cluster.latency + COMMAND / cluster.bandwidth
        begun = [clock[0]] + [max(clock[rank], heard + rank * cluster.message) for rank in range(1, size)]
        factors = [share * (1 + cluster.uneven * abs(draws.gauss(0, 1))) for _ in range(size)]
        seconds = own * costs.slice + (own - 1) * (costs.parameters + costs.statistics) * costs.sum
        clock = [time + seconds * factor for time, factor in zip(begun, factors)]
        computed = clock
        for b in reversed(range(run.buckets)) if size > 1 else ():
            ready = [time - buckets[b][1] * costs.slice * factor for time, factor in zip(computed, factors)]
            sent, touched = links.exchange(ready, sums[b])
            if buckets[b][1] > 0:
                computed = plus(computed, touched)
            clock = latest(clock, sent)
        if size > 1:
            clock = latest(clock, computed, links.exchange(computed, rest)[0])
        clock = [time + share * (size - 1) * (run.bytes_of(rank) + run.statistics) * costs.sum
                 for rank, time in enumerate(clock)]  # fmt: skip
        done = clock
        for b in range(run.buckets):
            clock = [time + share * run.piece(b, rank) * costs.update for rank, time in enumerate(clock)]
            sent, touched = links.exchange(clock, weights[b]) if size > 1 else (clock, [0.0])
            done = latest(done, sent)
            if b < run.buckets - 1:
                clock = plus(clock, touched)
        clock = done
        ends.append(clock[0])
    return ends[-1] - (ends[-2] if len(ends) > 1 else 0)


def options_of(costs):
    """The costs as options of scripts/simulate-ranks."""
    values = {entry.name: getattr(costs, entry.name) for entry in fields(costs) if entry.name not in ("layers", "bucket")}
    texts = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return " ".join(f"--{name} {text}" for name, text in texts.items() if values[name])
