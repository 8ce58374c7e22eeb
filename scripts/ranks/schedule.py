"""What the ranks of a run send one another, as src/comm/comm.c, src/train/ranks*.c and trainer_slices.c do it: for each
rank the list of its exchanges, and for each exchange the list of its messages in the order in which they are posted. The
program starts the exchanges of buckets without waiting for those before; here each is over before the next begins, which
is stricter: who waits for less hangs in fewer ways.

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


def cut(total, ranks, matrices=(), first=0):
    """optimizer_cut: where the pieces of a bucket begin that has bytes first .. total - 1, and its end. `matrices`:
    (first, last) of parameters that stay whole."""
    piece = (-(-(total - first) // LINE) + ranks - 1) // ranks * LINE

    def spare(at):
        for begin, end in matrices:
            if begin < at < end:
                return begin if at - begin < end - at else end
        return at

    return [spare(min(first + r * piece, total)) for r in range(ranks)] + [total]


def cut_buckets(ends, ranks):
    """The same for buckets that end there."""
    cuts = [0]
    for first, end in zip([0, *ends], ends):
        cuts += cut(end, ranks, first=first)[1:]
    return cuts


@dataclass
class Run:
    """A run on `size` ranks. Bytes are those of arenas."""

    size: int
    cuts: list  # where the pieces begin: those of the first bucket, by rank, of the second, ...; and the end
    statistics: int = 0
    states: int = 2  # arenas of the optimizer
    whole_gradient: bool = False  # clip_norm, histograms
    average: bool = False  # ema_decay
    batches: dict = field(default_factory=lambda: {"validation": 5, "test": 11})  # by set
    restored: bool = False

    @property
    def buckets(self):
        return (len(self.cuts) - 1) // self.size

    def piece(self, bucket, rank):
        k = bucket * self.size + rank
        return self.cuts[k + 1] - self.cuts[k]

    def bytes_of(self, rank):
        return sum(self.piece(bucket, rank) for bucket in range(self.buckets))

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


def gradients(run, rank, bucket):
    """ranks_send_gradients"""
    own = run.piece(bucket, rank)
    return Exchange("gradients", [Message(rank ^ k, run.piece(bucket, rank ^ k), own) for k in range(1, run.size)])


def others(run, rank):
    """ranks_send_others"""
    messages = []
    for k in range(1, run.size):
        messages += [Message(rank ^ k, run.statistics, run.statistics), Message(rank ^ k, WORDS, WORDS)]
    return Exchange("gradients", messages)


def spread(run, rank, bucket, what):
    """ranks_send_arena"""
    own = run.piece(bucket, rank)
    return Exchange(what, [Message(rank ^ k, own, run.piece(bucket, rank ^ k)) for k in range(1, run.size)])


def collect(run, rank, sizes, what):
    """ranks_collect, ranks_collect_pieces: rank 0 gets sizes[k] from rank k % size."""
    owners = [(k % run.size, size) for k, size in enumerate(sizes)]
    if rank > 0:
        return Exchange(what, [Message(0, size, 0) for owner, size in owners if owner == rank])
    return Exchange(what, [Message(owner, 0, size) for owner, size in owners if owner > 0])


def deal(run, rank, sizes, what):
    """ranks_deal_pieces"""
    turned = collect(run, rank, sizes, what)
    return Exchange(what, [Message(m.rank, m.receive, m.send) for m in turned.messages])


# --- what all ranks do ---


def states(run, rank, move):
    """move_states"""
    sizes = [b - a for a, b in zip(run.cuts, run.cuts[1:])]
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
    """trainer_run_slices"""
    yield Work("slices")
    for bucket in reversed(range(run.buckets)):
        yield gradients(run, rank, bucket)
    yield others(run, rank)
    yield Work("sum")
    if run.whole_gradient:
        for bucket in range(run.buckets):
            yield spread(run, rank, bucket, "summed gradients")
    yield Work("update")
    for bucket in range(run.buckets):
        yield spread(run, rank, bucket, "updated weights")


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
