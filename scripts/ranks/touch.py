"""How long a core works on a byte that goes to another machine or comes from there, by TCP both ways at once, as ranks exchange
gradients: for `scripts/simulate-ranks --touch`. One process listens at an address of its machine, the other connects to it; each prints
its seconds of a core for a byte.

usage: touch.py listen|connect ADDRESS
"""

import resource
import socket
import sys
import threading
import time

BYTES, PIECE, PORT, PATIENCE = 400_000_000, 1 << 20, 5999, 10


def connect(address):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((address, PORT))
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def send(connection):
    data, left = memoryview(bytes(PIECE)), BYTES
    while left:
        left -= connection.send(data[:left])


def main():
    role, address = sys.argv[1:]
    if role == "listen":
        connection, _ = socket.create_server((address, PORT)).accept()
    else:
        connection = connect(address)
    sender = threading.Thread(target=send, args=(connection,))
    sender.start()
    buffer, left = bytearray(PIECE), BYTES
    while left:
        count = connection.recv_into(buffer)
        if not count:
            sys.exit("touch.py: the other side is gone")
        left -= count
    sender.join()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{(usage.ru_utime + usage.ru_stime) / (2 * BYTES):.3g}")


if __name__ == "__main__":
    main()
