"""What rooms is made of in one process: the bus in every role, hub and socket in the web role."""

from dataclasses import dataclass

from app.rooms.hub import Hub
from app.rooms.socket import RoomSocket
from app.rooms.valkey_bus import ValkeyRooms


@dataclass(frozen=True)
class RoomParts:
    """How wiring puts a process together.

    bus = ValkeyRooms(valkey)                       # every role; features get it as their `Rooms`
    bus.sources = Sources(states=…, stories=…, sanctions=…)   # once the features are there
    hub = Hub(bus)                                  # web role; serve inside `async with hub.running():`
    socket = RoomSocket(hub, identity, surroundings, commands=merge(…), me_sources=…)
    RoomParts(bus, hub, socket)                     # web role; RoomParts(bus) in the worker role
    """

    bus: ValkeyRooms
    hub: Hub | None = None
    socket: RoomSocket | None = None
