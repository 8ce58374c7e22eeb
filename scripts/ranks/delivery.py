"""Delivers the messages of a schedule (schedule.py), and finds what would hang or be lost. Every function raises Fault
where the schedule is wrong, and returns counts.
"""

import random
from array import array
from collections import Counter, defaultdict, deque

from ranks.schedule import Work, programs

PRIME = (1 << 61) - 1


class Fault(Exception):
    pass


def next_exchange(program, answer):
    """Moves a rank on to its next exchange; None: it has ended."""
    try:
        step = program.send(answer)
        while isinstance(step, Work):
            step = program.send(None)
        return step
    except StopIteration:
        return None


def meet(messages, rank, size, sent, received):
    """Enters the sizes of a rank's messages, in their order, into a number for each pair of ranks."""
    count = 0
    for other, send, receive in messages:
        if other == rank or not 0 <= other < size:
            raise Fault(f"rank {rank} of {size} exchanges with {other}")
        if send:
            at = rank * size + other
            sent[at] = (sent[at] * 1000003 + send) % PRIME
            count += 1
        if receive:
            at = other * size + rank
            received[at] = (received[at] * 1000003 + receive) % PRIME
    return count


def in_step(run, script=None):
    """All ranks are in the same exchange at the same time, and in each every pair's sends and receives agree in number,
    order and size. So what is sent in an exchange is received in it, once, by whom it is meant for, and an exchange
    ends when all ranks have begun it: none waits for ever."""
    size, alive = run.size, programs(run, script)
    answers, exchanges, messages = [None] * size, 0, 0
    while True:
        sent, received = array("Q", bytes(8 * size * size)), array("Q", bytes(8 * size * size))
        whats, command = set(), None
        for rank, program in enumerate(alive):
            exchange = next_exchange(program, answers[rank])
            whats.add(exchange and exchange.what)
            if exchange:
                command = exchange.command or command
                messages += meet(exchange.messages, rank, size, sent, received)
        if len(whats) != 1:
            raise Fault(f"exchange {exchanges} of {size} ranks is all of: {', '.join(map(str, whats))}")
        if sent != received:
            at = next(i for i in range(size * size) if sent[i] != received[i])
            raise Fault(f"exchange {exchanges} ({whats.pop()}): what rank {at // size} sends {at % size} is not received so")
        if whats == {None}:
            return exchanges, messages
        answers = [None] + [command] * (size - 1)
        exchanges += 1


def limited(exchange_of, size, window):
    """One exchange, in which a rank has at most `window` messages on their way, posted in their order; a message is on
    its way until both sides have posted it (nothing is buffered). With 1 these are blocking exchanges with one partner
    after another. Returns the longest chain of messages that wait for one another."""
    waiting, on_way, at, depth = defaultdict(deque), [0] * size, [0] * size, [0] * size
    partners = [[m.rank for m in exchange_of(rank).messages if m.send or m.receive] for rank in range(size)]
    ready = deque(range(size))
    while ready:
        rank = ready.popleft()
        while at[rank] < len(partners[rank]) and on_way[rank] < window:
            other = partners[rank][at[rank]]
            at[rank] += 1
            if waiting[other, rank]:
                begun = waiting[other, rank].popleft()
                if not waiting[other, rank]:
                    del waiting[other, rank]
                depth[rank] = depth[other] = max(depth[rank], depth[other], begun) + 1
                on_way[other] -= 1
                ready.append(other)
            else:
                del waiting[other, rank]
                waiting[rank, other].append(depth[rank])
                on_way[rank] += 1
    stuck = [rank for rank in range(size) if at[rank] < len(partners[rank]) or on_way[rank]]
    if stuck:
        raise Fault(f"{exchange_of(0).what}: {len(stuck)} of {size} ranks wait for one another, {window} messages at a time")
    return max(depth)


def in_any_order(run, seed, eager, script=None):
    """Ranks move on one at a time, in random order, each as far as it can. A send of at most `eager` bytes ends at
    once, others when they are received. A receive takes the oldest message of its sender, which must have the
    exchange's number and the right size."""
    draws, size, tags = random.Random(seed), run.size, [0] * run.size
    alive, commands, messages = programs(run, script), [], 0
    mail = defaultdict(deque)  # by (from, to): [exchange, bytes]
    open_sends, open_receives = [None] * size, [None] * size
    awake = list(range(size))

    def begin(rank):
        answer = commands[answered[rank]] if is_command[rank] else None
        answered[rank] += is_command[rank]
        exchange = next_exchange(alive[rank], answer)
        if exchange is None:
            return False
        tags[rank] += 1
        if exchange.command:
            commands.append(exchange.command)
        is_command[rank] = exchange.what == "a command" and rank > 0
        open_sends[rank], open_receives[rank] = [], deque()
        for other, send, receive in exchange.messages:
            if send:
                letter = [tags[rank], send]
                mail[rank, other].append(letter)
                if send > eager:
                    open_sends[rank].append(letter)
            if receive:
                open_receives[rank].append((other, receive))
        return True

    is_command, answered = [False] * size, [0] * size

    def move(rank):
        nonlocal messages
        later, moved = deque(), False
        for other, receive in open_receives[rank] or ():
            box = mail[other, rank]
            if not box or box[0][0] != tags[rank]:
                if box and box[0][0] < tags[rank]:
                    raise Fault(f"rank {rank} left exchange {box[0][0]} without what {other} sent it")
                later.append((other, receive))
                continue
            letter = box.popleft()
            if letter[1] != receive:
                raise Fault(f"rank {rank} expects {receive} bytes of {other}, who sends {letter[1]}")
            letter[0], moved = 0, True  # received
            messages += 1
        open_receives[rank] = later
        open_sends[rank] = [letter for letter in open_sends[rank] or () if letter[0]]
        return moved or not (open_receives[rank] or open_sends[rank])

    ended = set()
    while len(ended) < size:
        draws.shuffle(awake)
        moved = False
        for rank in awake:
            moved |= move(rank)
            while not (open_receives[rank] or open_sends[rank]) and rank not in ended:
                moved = True
                if not begin(rank):
                    ended.add(rank)
                    break
                if draws.random() < 0.5:
                    break
                move(rank)
        awake = [rank for rank in range(size) if rank not in ended]
        if not moved:
            raise Fault(f"{size} ranks, order {seed}: {len(awake)} wait for one another")
    if any(mail.values()):
        raise Fault(f"{size} ranks, order {seed}: messages are left over")
    return messages


# --- a rank that is lost ---


def sequence(run, script=None):
    """For each exchange: what it is, and for each rank (work before it, mask of the ranks it receives from, mask of
    those it sends to, mask of those it sends more than 64 KiB to). That all ranks have the same exchanges was found out
    before."""
    lists, commands = [], []
    for rank, program in enumerate(programs(run, script)):
        own, works, answer, count = [], [], None, 0
        while True:
            try:
                step = program.send(answer)
            except StopIteration:
                break
            answer = None
            if isinstance(step, Work):
                works.append(step)
                continue
            receives = sends = large = 0
            for m in step.messages:
                receives |= bool(m.receive) << m.rank
                sends |= bool(m.send) << m.rank
                large |= (m.send > 1 << 16) << m.rank
            own.append((step.what, works, receives, sends, large))
            works = []
            if step.command:
                commands.append(step.command)
            if rank > 0 and step.what == "a command":
                answer, count = commands[count], count + 1
        lists.append(own)
    return [(row[0][0], [entry[1:] for entry in row]) for row in zip(*lists)]


def begin_times(steps, size, seconds):
    """When each rank begins each exchange. seconds(rank, work, index): of the work before it."""
    clock, begun, members = [0.0] * size, [], {}
    for index, (_, ranks) in enumerate(steps):
        starts = [clock[r] + sum(seconds(r, work, index) for work in ranks[r][0]) for r in range(size)]
        begun.append(starts)
        for r in range(size):
            mask = ranks[r][1] | ranks[r][3] | 1 << r
            if mask not in members:
                members[mask] = [q for q in range(size) if mask >> q & 1]
            clock[r] = max(starts[q] for q in members[mask])
    return begun


def lose(steps, begun, victim, at, buffered):
    """The rank takes no part from exchange `at` on. Returns for each rank that waits in vain (rank, exchange, mask of
    those whose messages are missing), and the ranks that end as if nothing had happened."""
    absent, waiting = 1 << victim, {}
    for index in range(at, len(steps)):
        gone = absent  # a rank that waits in vain has posted its messages in that exchange, but in no later one
        for rank in range(len(begun[0])):
            if absent >> rank & 1:
                continue
            _, receives, sends, large = steps[index][1][rank]
            missing = (receives | (large if buffered else sends)) & absent
            if missing:
                waiting[rank] = (index, missing)
                gone |= 1 << rank
        absent = gone
    return waiting, len(begun[0]) - 1 - len(waiting)


def lowest(mask):
    return (mask & -mask).bit_length() - 1


def blame(waiting, begun, timeout):
    """Who says what: (seconds after the first of them began to wait, the rank that speaks, the rank that it names, of
    how many others), as comm.c finds it: at its deadline a rank calls the roll, and of those that answer the lowest one
    speaks."""
    wait = min(timeout / 2, 2)
    late = sorted((begun[index][rank] + timeout, rank) for rank, (index, _) in waiting.items())
    first, heard, said, end = late[0][0] - timeout, 0, [], 0
    for time, rank in late:
        while end < len(late) and late[end][0] <= time + wait:
            heard |= 1 << late[end][1]
            end += 1
        silent = waiting[rank][1] & ~heard
        named = lowest(silent or waiting[rank][1])
        speaks = lowest(heard) == rank
        time += wait * (1 if silent else 2) + (0 if speaks else 4)
        said.append((time - first, rank, named, silent.bit_count()))
    return min(said)


def losses(run, timeout, seconds, victims, script=None):
    """Every victim is lost in every exchange, with and without buffers for small messages. Returns Counter: "lost",
    "unnoticed", "named" and "misnamed", and the latest time after which the run has ended."""
    steps = sequence(run, script)
    begun = begin_times(steps, run.size, seconds)
    counts, latest, wrong = Counter(), 0, []
    for at in range(len(steps)):
        for victim in victims:
            for buffered in (False, True):
                waiting, _ = lose(steps, begun, victim, at, buffered)
                counts["lost"] += 1
                if not waiting:
                    counts["unnoticed"] += 1  # it had nothing to send any more
                    continue
                time, speaker, named, _ = blame(waiting, begun, timeout)
                latest = max(latest, time)
                counts["named" if named == victim else "misnamed"] += 1
                if named != victim:
                    wrong.append((at, steps[at][0], victim, speaker, named))
    return counts, latest, wrong
