"""What the ranks of a run send one another, as src/comm/comm.c, src/train/ranks.c and trainer.c do it: for each rank
the list of its exchanges, and for each exchange the list of its messages in the order in which they are posted.

Rank 0 and the others run different code there (trainer_lead_..., trainer_follow), so there are two programs here as
well: `lead` and `follow`. Both are generators of exchanges; that one agrees with the other is for delivery.py to find
out.
"""

import operator
from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

LINE = 64  # bytes; no piece ends within one
COMMAND = 40  # sizeof(struct rank_command)
WORDS = 40  # sizeof(struct rank_words)
METRICS = 24  # sizeof(struct metrics)
TICKET = 4096  # about sizeof(struct ticket)
PLACE = 200  # sizeof(struct comm_place)


class Message(NamedTuple):
    """struct comm_message: what goes to `rank`, and what comes from it, in bytes."""

    rank: int
    send: int
    receive: int


class Exchange(NamedTuple):
    what: str
    messages: list
    command: tuple = None  # what rank 0 broadcasts


class Work(NamedTuple):
    """What a rank does between two exchanges."""

    what: str  # "slices", "sum", "update", "batches", "alone"
    amount: float = 1  # batches of an evaluation


def cut(total, count, matrices=()):
    """optimizer_cut: where the pieces of an arena begin, in bytes. `matrices`: (first, last) of parameters that stay
    whole."""
    part = (-(-total // LINE) + count - 1) // count * LINE

    def spare(at):
        for first, last in matrices:
            if first < at < last:
                return first if at - first < last - at else last
        return at

    return [total if k == count or k * part > total else spare(k * part) for k in range(count + 1)]


@dataclass
class Run:
    """A run on `size` ranks. Bytes are those of arenas."""

    size: int
    cuts: list
    statistics: int = 0
    states: int = 2  # arenas of the optimizer
    whole_gradient: bool = False  # clip_norm, histograms
    average: bool = False  # ema_decay
    batches: dict = field(default_factory=lambda: {"validation": 5, "test": 11})  # by set
    restored: bool = False

    def bytes_of(self, rank):
        return self.cuts[rank + 1] - self.cuts[rank]

    def first_batch(self, name, rank):
        """ranks_first"""
        return self.batches[name] * rank // self.size


# --- exchanges ---


def gather(run, rank, size, what):
    """comm_gather"""
    others = [(k - rank) % run.size for k in range(run.size)]
    return Exchange(what, [Message(other, size, size) for other in others if other != rank])


def broadcast(run, rank, size, what, command=None):
    """comm_broadcast"""
    if rank > 0:
        return Exchange(what, [Message(0, 0, size)])
    return Exchange(what, [Message(other, size, 0) for other in range(1, run.size)], command)


def pieces(run, rank):
    """send_pieces"""
    own, messages = run.bytes_of(rank), []
    for k in range(1, run.size):
        other = rank ^ k
        messages += [Message(other, run.bytes_of(other), own), Message(other, run.statistics, run.statistics),
                     Message(other, WORDS, WORDS)]
    return Exchange("gradients", messages)


def spread(run, rank, what):
    """ranks_spread"""
    own = run.bytes_of(rank)
    return Exchange(what, [Message(rank ^ k, own, run.bytes_of(rank ^ k)) for k in range(1, run.size)])


def collect(run, rank, sizes, what):
    """ranks_collect, ranks_collect_parts: rank 0 gets sizes[r] from rank r."""
    if rank > 0:
        return Exchange(what, [Message(0, sizes[rank], 0)])
    return Exchange(what, [Message(other, 0, sizes[other]) for other in range(1, run.size)])


def deal(run, rank, sizes, what):
    """ranks_deal_parts"""
    turned = collect(run, rank, sizes, what)
    return Exchange(what, [Message(m.rank, m.receive, m.send) for m in turned.messages])


# --- what all ranks do ---


def states(run, rank, move):
    """move_states"""
    sizes = [run.bytes_of(r) for r in range(run.size)]
    for _ in range(run.states):
        yield move(run, rank, sizes, "the optimizer's states")


def share(run, rank, restored):
    """share_state"""
    parameters = run.cuts[-1]
    for size, what in ((8, "the state"), (METRICS, "the state"), (parameters, "the weights"),
                       (run.statistics, "the running statistics")):
        if size > 0:  # ranks_copy
            yield broadcast(run, rank, size, what)
    if restored:
        yield from states(run, rank, deal)
    if run.average:
        for size in (parameters, run.statistics):
            if size > 0:
                yield broadcast(run, rank, size, "the moving average")


def step(run, rank):
    """run_slices"""
    yield Work("slices")
    yield pieces(run, rank)
    yield Work("sum")
    if run.whole_gradient:
        yield spread(run, rank, "summed gradients")
    yield Work("update")
    yield spread(run, rank, "updated weights")


def evaluate(run, rank, name):
    """evaluate_apart"""
    first = [run.first_batch(name, r) for r in range(run.size + 1)]
    yield Work("batches", first[rank + 1] - first[rank])
    yield collect(run, rank, [(first[r + 1] - first[r]) * METRICS for r in range(run.size)], "an evaluation")


def start(run, rank):
    """comm_create, ranks_share_experiment, ranks_agree"""
    yield gather(run, rank, PLACE, "the names of the machines")
    yield broadcast(run, rank, 8, "the config")
    yield broadcast(run, rank, 2000, "the config")
    yield gather(run, rank, TICKET, "what each rank computes with")
    yield Work("alone")  # data and backend
    yield gather(run, rank, TICKET, "what each rank computes with")


# --- the two programs ---


def lead(run, script):
    """Rank 0: `script` is a list of commands, ("step",), ("evaluate", "test"), ..."""
    yield from start(run, 0)
    for command in script:
        yield broadcast(run, 0, COMMAND, "a command", command)
        yield from obey(run, 0, command)
        if command[0] in ("evaluate", "collect"):
            yield Work("alone")  # a row of metrics.csv, a picture, a checkpoint
    yield broadcast(run, 0, 1, "the end")


def follow(run, rank):
    """Any other rank, which is sent the commands."""
    yield from start(run, rank)
    command = None
    while command != ("end",):
        command = yield broadcast(run, rank, COMMAND, "a command")
        yield from obey(run, rank, command)
    yield broadcast(run, rank, 1, "the end")


def obey(run, rank, command):
    if command[0] == "share":
        yield from share(run, rank, run.restored)
    elif command[0] == "step":
        yield from step(run, rank)
    elif command[0] == "evaluate":
        yield from evaluate(run, rank, command[1])
    elif command[0] == "collect":
        yield from states(run, rank, collect)


SCRIPT = [("share",), ("step",), ("evaluate", "validation"), ("evaluate", "test"), ("collect",), ("step",), ("end",)]


def programs(run, script=None):
    return [lead(run, script or SCRIPT)] + [follow(run, rank) for rank in range(1, run.size)]


# --- sums ---


def add(a, b, factor=1.0):
    """slices_accumulate in fp32. The sum of two floats in double precision, rounded to a float, is the float sum: 53
    bits are more than twice 24 and two."""
    total = array("f", map(operator.add, a, b))
    return total if factor == 1 else array("f", [x * factor for x in total])


def slices_sum(gradients, count):
    """slices_run: the sum of a rank's slices by a stack. Only where these are all of the `count` slices it is
    divided."""
    stack = []
    for s, gradient in enumerate(gradients):
        stack.append(gradient)
        trailing = s
        while trailing & 1:
            top = stack.pop()
            last = s == count - 1 and len(stack) == 1
            stack[-1] = add(stack[-1], top, 1 / count if last else 1)
            trailing >>= 1
    assert len(stack) == 1
    return stack[0]


def sum_tree(parts, into, slices):
    """sum_tree: adds the parts of all ranks in place and leaves the sum, divided by the number of slices, in that of
    `into`."""
    size, width = len(parts), 1
    while width < size:
        for r in range(0, size, 2 * width):
            left = into if r <= into < r + width else r
            right = into if r + width <= into < r + 2 * width else r + width
            to, other = (right, left) if right == into else (left, right)
            parts[to] = add(parts[to], parts[other], 1 / slices if 2 * width == size else 1)
        width *= 2
    return parts[into]


def balanced(gradients):
    """The definition (slices.h): a balanced binary tree whose leaves s and s^1 meet first, divided by their number."""
    level = list(gradients)
    while len(level) > 1:
        level = [add(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return array("f", [x / len(gradients) for x in level[0]])
