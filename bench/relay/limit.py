"""The limit: bench/relay/loops.c's fan() in a process of its own. `python -m bench.relay.limit <port>`, then viewers'
ports as JSON on standard input. Each viewer has a key of its own, AES-128-GCM as our relay picks.
"""

import ctypes
import json
import os
import socket
import sys
import threading

import pylibsrtp
from pylibsrtp._binding import ffi

from bench.relay.native import SocketAddress, loops, protect_address

BUFFER_BYTES = 4 << 20


def main() -> None:
    into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    into.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    into.bind((sys.argv[1], int(sys.argv[2])))
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    out.bind((sys.argv[1], 0))
    host, ports = json.loads(sys.stdin.readline())
    places = (SocketAddress * len(ports))()
    for place, port in zip(places, ports, strict=True):
        place.family = socket.AF_INET
        place.port[:] = port.to_bytes(2, "big")
        place.host[:] = socket.inet_aton(host)
    sessions = []
    for _ in ports:
        policy = pylibsrtp.Policy(
            key=os.urandom(28),
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        )
        policy.window_size = 1024
        sessions.append(pylibsrtp.Session(policy))
    keys = (ctypes.c_void_p * len(ports))(*(int(ffi.cast("uintptr_t", one._srtp[0])) for one in sessions))
    stop, sent = ctypes.c_int(0), ctypes.c_uint64(0)
    arguments = (
        into.fileno(),
        out.fileno(),
        len(ports),
        places,
        keys,
        ctypes.c_void_p(protect_address()),
        ctypes.byref(stop),
        ctypes.byref(sent),
    )
    work = threading.Thread(target=loops().fan, args=arguments)
    work.start()
    print("ready", flush=True)
    while sys.stdin.readline():
        print(json.dumps({"sent": sent.value}), flush=True)
    stop.value = 1
    work.join()


if __name__ == "__main__":
    main()
