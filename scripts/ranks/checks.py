"""Checks the schedule of exchanges on 1, 2, 4, ... ranks, and says what was checked."""

import random
from array import array
from collections import Counter

from ranks.delivery import Fault, in_any_order, in_step, limited, losses
from ranks.schedule import (WORDS, Run, balanced, broadcast, collect, cut, cut_buckets, deal, gather, gradients, others,
                            slices_sum, spread, sum_tree)  # fmt: skip

CONVNET, STATISTICS = 36924480, 22016  # about the bytes of configs/convnet.ini
TIMEOUT = 60  # seconds of backend.exchange_timeout
ANY_ORDER_MOST = 16  # ranks that take turns one message at a time
EVERY_LOSS_MOST = 64  # ranks of which each is lost once


def runs(size):
    """Runs whose arenas are cut evenly, unevenly (a last piece that ends within a line, large matrices that stay
    whole), into buckets, and into fewer pieces than there are ranks."""
    matrices = [(64 * 100, 64 * 4000), (64 * 4000, 64 * 4100), (64 * 6000 + 192, 64 * 9000)]
    return {
        "one piece each": Run(size, cut(64 * 16 * size, size), 640, average=True, restored=True),
        "uneven pieces": Run(size, cut(CONVNET - 20, size), STATISTICS, average=True,
                             batches={"validation": 3, "test": 2 * size + 1}),  # fmt: skip
        "buckets": Run(size, cut_buckets([64 * 3, 64 * 1000, 64 * 5003, 64 * 9000 + 20], size), 640, average=True,
                       whole_gradient=True, restored=True),
        "whole matrices": Run(size, cut(64 * 9999, size, matrices), 1000, whole_gradient=True, restored=True),
        "more ranks than lines": Run(size, cut(64 * 7 + 36, size), 0, whole_gradient=True, states=1),
    }


def check_cuts(run):
    cuts = run.cuts
    if cuts[0] != 0 or len(cuts) != run.size * run.buckets + 1 or any(a > b for a, b in zip(cuts, cuts[1:])):
        raise Fault(f"{run.size} ranks: pieces {cuts[:9]}... do not cover the arena in order")
    if any(at % 64 for at in cuts if at != cuts[-1]):
        raise Fault(f"{run.size} ranks: a piece ends within a line")


def kinds(run):
    """Every kind of exchange, by rank."""
    sizes = [b - a for a, b in zip(run.cuts, run.cuts[1:])]
    return {"gradients": lambda rank: gradients(run, rank, 0), "others": lambda rank: others(run, rank),
            "spread": lambda rank: spread(run, rank, 0, "weights"),
            "gather": lambda rank: gather(run, rank, WORDS, "gather"),
            "broadcast": lambda rank: broadcast(run, rank, WORDS, "broadcast"),
            "collect": lambda rank: collect(run, rank, sizes, "collect"),
            "deal": lambda rank: deal(run, rank, sizes, "deal")}  # fmt: skip


def check_messages(size, counts):
    for run in runs(size).values() if size <= 256 else list(runs(size).values())[1:4]:
        check_cuts(run)
        exchanges, messages = in_step(run)
        counts["exchanges"] += exchanges
        counts["messages"] += messages


def check_waits(size, counts):
    run = runs(size)["uneven pieces"]
    for name, exchange_of in kinds(run).items():
        for window in (1, 2, 5) if size <= 256 else (1,):
            chain = limited(exchange_of, size, window)
            counts["limited exchanges"] += 1
            most = {"others": 2 * (size - 1), "gradients": size - 1, "spread": size - 1, "gather": size}.get(name, size)
            if window == 1 and chain > most:
                raise Fault(f"{name} of {size} ranks takes {chain} messages one after another, expected {most}")
    if size > ANY_ORDER_MOST:
        return
    for run in runs(size).values():
        for seed in range(5):
            for eager in (0, 100, 1 << 40):
                in_any_order(run, seed, eager)
                counts["orders"] += 1


def random_arena(draws, count):
    """Floats of sizes that lie far apart, so that another order of sums gives other bits."""
    return array("f", [draws.gauss(0, 1) * 10 ** draws.uniform(-4, 4) for _ in range(count)])


def check_sums(size, counts):
    """Each rank's piece of the sum, as ranks.c makes it, is the definition's to the bit, at 1 and 2 slices a rank."""
    draws = random.Random(size)
    for own in (1, 2, 8) if size <= 64 else (1, 2):
        slices, elements = own * size, 16 * 37 + 5 if size <= 256 else 16 * 11 + 5
        cuts = [at // 4 for at in cut(4 * elements, size)]
        gradients = [random_arena(draws, elements) for _ in range(slices)]
        expected = balanced(gradients)
        sums = [slices_sum(gradients[rank * own:(rank + 1) * own], slices) for rank in range(size)]
        for rank in range(size):
            first, last = cuts[rank], cuts[rank + 1]
            piece = sum_tree([total[first:last] for total in sums], rank, slices)
            if piece.tobytes() != expected[first:last].tobytes():
                raise Fault(f"{size} ranks, {slices} slices: rank {rank}'s sum differs")
        counts["elements"] += elements
        in_turn = sums[0]
        for other in sums[1:]:
            in_turn = array("f", [a + b for a, b in zip(in_turn, other)])
        if size >= 8 and array("f", [x / slices for x in in_turn]) == expected:
            raise Fault(f"{size} ranks: another order gives the same bits, so nothing is compared")


def seconds_of_work(size, batch, first=1):
    """Seconds of a rank's work: no two ranks are equally fast, rank 0 by its own pace, and it writes files
    meanwhile."""
    draws = random.Random(size)
    pace = [first] + [1 + 0.1 * draws.random() for _ in range(size - 1)]
    base = {"slices": 2, "sum": 0.1, "update": 0.1}

    def seconds(rank, work, _):
        if work.what == "alone":
            return 8 if rank == 0 else 1
        return pace[rank] * (batch * work.amount if work.what == "batches" else base[work.what])

    return seconds


def check_losses(size, counts, misnamed):
    victims = range(size) if size <= EVERY_LOSS_MOST else sorted({0, 1, size // 2 + 1, size - 1})
    for name in ("uneven pieces", "more ranks than lines"):
        run = runs(size)[name]
        found, latest, wrong = losses(run, TIMEOUT, seconds_of_work(size, 0.1), victims)
        counts.update(found)
        if wrong:
            raise Fault(f"{size} ranks, {name}: exchange, what, lost, who speaks, whom it names: {wrong[0]}")
        if latest > TIMEOUT + 8 + 4:
            raise Fault(f"{size} ranks: a loss ends the run after {latest:.1f} s")
        counts["latest"] = max(counts["latest"], latest)
        misnamed.update(losses(run, TIMEOUT, seconds_of_work(size, 9, first=1.5), victims)[0])


def report(sizes, counts, misnamed):
    lines = (
        f"ranks: {', '.join(map(str, sizes))}",
        f"messages: {counts['messages']:,} in {counts['exchanges']:,} exchanges, the same ones in the same order on all ranks;"
        " each is received once, by the right rank, in its size",
        f"waits: {counts['limited exchanges']:,} exchanges with 1, 2 or 5 messages of a rank on their way, unbuffered, and"
        f" {counts['orders']:,} whole runs in random order on up to {ANY_ORDER_MOST} ranks: none hangs",
        f"sums: {counts['elements']:,} elements, summed in pieces, equal those of the balanced tree to the bit",
        f"losses: {counts['lost']:,}, of every rank on up to {EVERY_LOSS_MOST} ranks, in every exchange: {counts['named']:,} name"
        f" the lost rank, {counts['unnoticed']:,} had nothing to send any more; all ranks end within"
        f" {counts['latest']:.1f} s at a timeout of {TIMEOUT} s",
        "losses where rank 0 is some seconds behind the others in an evaluation:"
        f" {misnamed['named']:,} name the lost rank, {misnamed['misnamed']:,} another that waits for it",
    )
    return "\n".join(lines)


def check_all(most, out):
    """Returns 0, or 1 after a fault, which it prints."""
    counts, misnamed, size, sizes = Counter(), Counter(), 1, []
    try:
        while size <= most:
            check_messages(size, counts)
            check_waits(size, counts)
            check_sums(size, counts)
            if size > 1:
                check_losses(size, counts, misnamed)
            sizes.append(size)
            size *= 2
    except Fault as fault:
        print(f"fault: {fault}", file=out)
        return 1
    print(report(sizes, counts, misnamed), file=out)
    return 0
