"""A room on uWebSockets through socketify: publish to a topic, or (second argument "joined") all of a tick at once.

It runs libuv's loop itself, with libuv's timers: socketify's own way turns it from an asyncio loop that spins, and the
peer would be charged for that.
"""

import signal
import sys
import time

from socketify import App, OpCode

TICK_S = 0.02
FULL = 16
joined = sys.argv[2:] == ["joined"]
app = App()
waiting: list[str] = []
state = {"timer": None, "hurried": False, "tick_over": 0.0}


def flush(_=None) -> None:
    if state["timer"] is not None:
        state["timer"].stop()
        state["timer"] = None
    began = time.monotonic()
    text = "[" + ",".join(waiting) + "]"
    waiting.clear()
    app.publish("room", text, OpCode.TEXT)
    state["tick_over"] = began + max(TICK_S, 2 * (time.monotonic() - began))


def speak(_socket, text, _opcode) -> None:
    if not joined:
        app.publish("room", text, OpCode.TEXT)
        return
    waiting.append(text)
    full = len(waiting) >= FULL
    if state["timer"] is not None:
        if not full or state["hurried"]:
            return
        state["timer"].stop()
    state["hurried"] = full
    wait = 0.0 if full else state["tick_over"] - time.monotonic()
    # Even at once means after what came together with this one.
    state["timer"] = app.loop.set_timeout(max(0, round(wait * 1000)), flush, None)


app.ws("/publish", {"message": speak, "max_payload_length": 65536, "idle_timeout": 0})
app.ws("/", {"open": lambda socket: socket.subscribe("room"), "max_backpressure": 1 << 20, "idle_timeout": 0})
app.listen(int(sys.argv[1]), lambda _: print("listening", flush=True))
signal.signal(signal.SIGINT, signal.SIG_DFL)
app.loop.uv_loop.run()
