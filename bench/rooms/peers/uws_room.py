"""A room on uWebSockets through socketify: publish to a topic, or (second argument "joined") all of a tick at once."""

import sys
import time

from socketify import App, OpCode

TICK_S = 0.02
joined = sys.argv[2:] == ["joined"]
app = App()
waiting: list[str] = []
state = {"timer": None, "not_before": 0.0}


def flush() -> None:
    state["timer"] = None
    began = time.monotonic()
    text = "[" + ",".join(waiting) + "]"
    waiting.clear()
    app.publish("room", text, OpCode.TEXT)
    state["not_before"] = began + max(TICK_S, 2 * (time.monotonic() - began))


def speak(_socket, text, _opcode) -> None:
    if not joined:
        app.publish("room", text, OpCode.TEXT)
        return
    waiting.append(text)
    if state["timer"] is None:
        wait = max(0.0, state["not_before"] - time.monotonic())
        state["timer"] = app.loop.loop.call_later(wait, flush)


app.ws("/publish", {"message": speak, "max_payload_length": 65536, "idle_timeout": 0})
app.ws("/", {"open": lambda socket: socket.subscribe("room"), "max_backpressure": 1 << 20, "idle_timeout": 0})
app.listen(int(sys.argv[1]), lambda _: print("listening", flush=True))
app.run()
