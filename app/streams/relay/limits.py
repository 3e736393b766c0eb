"""Every bound of the relay, in one place: what is full is refused or drops its oldest, and nothing grows without end.

Holds numbers only.
"""

from typing import Final

# Sessions.
SESSIONS_MAX: Final = 2_000
PUBLISHERS_MAX: Final = 64
VIEWERS_PER_ROOM_MAX: Final = 1_500
SESSIONS_PER_CALLER_MAX: Final = 500  # of one address: a hall of people behind one, but never a whole room
UNCONNECTED_PER_CALLER_MAX: Final = 128
ADDRESSES_PER_SESSION_MAX: Final = 8
ADDRESS_KEPT_S: Final = 6.0  # silence after which another session may have an address; browsers check every 5 s or less
ICE_GIVES_UP_S: Final = 10.0  # from the answer to the first authenticated binding request and a finished handshake
CONSENT_LOST_S: Final = 30.0  # silence after which a session ends (RFC 7675 lets an agent send for 30 s)
HANDSHAKE_SETTLES_S: Final = 0.3  # without DTLS from a peer that has its keys: what DTLS needed is freed
HANDSHAKE_SETTLES_AT_LATEST_S: Final = 5.0  # after that peer has shown its keys, whatever still comes from its address
GOODBYE_HEARD_S: Final = 5.0  # silence after a goodbye that cannot be proven any more
PUBLISHER_SILENT_S: Final = 1.0  # no RTP for this long: the same host may publish anew without asking to take over
SYNTHETIC_WAITS_S: Final = 5.0  # how long nobody must publish before the synthetic host comes back

# Offers.
SDP_BYTES_MAX: Final = 64 * 1024
SDP_LINES_MAX: Final = 1_500
SDP_MEDIA_MAX: Final = 8
SDP_CODECS_MAX: Final = 160
SDP_FEEDBACK_MAX: Final = 400
SDP_FEEDBACK_TIMES_CODECS_MAX: Final = 20_000  # the parser looks for each line's codec among all; browsers: 3,300
SDP_SOURCES_MAX: Final = 128  # lines, likewise
SDP_MEDIA_LINE_MAX: Final = 1_024  # characters; browsers: 200
CANDIDATES_MAX: Final = 64
FRAGMENT_BYTES_MAX: Final = 16 * 1024

# Packets.
DATAGRAM_BYTES_MAX: Final = 2_048
PACKET_BYTES_MAX: Final = 1_340  # what pylibsrtp's buffer of 1,500 takes with its longest trailer, less RTX's two bytes
PACKETS_PER_TURN_MAX: Final = 256  # read from the socket before other work gets its turn
HANDSHAKE_QUEUE_MAX: Final = 64
FLIGHT_DATAGRAMS_MAX: Final = 8
FLIGHT_WAIT_S: Final = 0.05  # then what was not answered goes again; twice as long each time after
FLIGHT_WAIT_MAX_S: Final = 0.4
FLIGHT_TRIES_MAX: Final = 8
SEND_QUEUE_MAX: Final = 8_192

# History and repair.
VIDEO_HISTORY: Final = 2_048  # packets a room keeps; a power of two
AUDIO_HISTORY: Final = 256
MISSING_MAX: Final = 256  # gaps of one stream that are asked for at once
REPAIR_TRIES_MAX: Final = 10
REPAIR_INTERVAL_S: Final = 0.06
REPAIR_GIVES_UP_S: Final = 1.0
LATE_MAX: Final = 500  # packets behind the newest, 1.6 s at BITRATE_MAX: later ones are not asked for, and not taken
RESENDS_PER_REPORT_MAX: Final = 64  # packets that one viewer's one NACK may ask for
RESENDS_PER_S_MAX: Final = 500  # packets that one viewer may ask for: a stream that is lost and lost again
RESENDS_BURST_MAX: Final = 512
REPORTS_PER_S_MAX: Final = 200  # datagrams of RTCP that are read of one session; browsers send some ten
REPORTS_BURST_MAX: Final = 400
GROUP_AGE_MAX_S: Final = 5.0  # an older group of pictures is not replayed: a key frame is asked for instead
GROUP_OLD_S: Final = GROUP_AGE_MAX_S - 1.0  # at the door: it would be too old once the joiner is in
KEY_FRAME_WAIT_S: Final = 1.0  # then the old group is replayed after all: not every publisher heeds a PLI
PICTURE_GONE_S: Final = 2.0  # without a packet of video: nobody is shown an old picture any more
KEY_FRAME_ASK_INTERVAL_S: Final = 0.5
PACE_INTERVAL_S: Final = 0.005
PACE_PACKETS: Final = 32  # to one joiner in one interval
PORTIONS_MAX: Final = 32  # of PACE_PACKETS each, that a room keeps for the next joiner: 5 s of video
PACE_SENDS: Final = 512  # to all joiners of a room in one interval
TURN_SENDS: Final = 512  # to all viewers before other work gets its turn: about 2 ms
FRAME_REST_S: Final = 0.001  # that nothing is read once a frame has begun to come: its other packets are near
FRAME_WAIT_S: Final = 0.002  # that they are waited for after that
RUN_MAX: Final = 8  # packets that go to a viewer as one message
OUTBOX_MAX: Final = 1_024  # packets of one kind that wait for their turn: six seconds of video

# Bandwidth told to the publisher, bits per second.
BITRATE_START: Final = 2_000_000
BITRATE_MIN: Final = 150_000
BITRATE_MAX: Final = 3_000_000

assert VIDEO_HISTORY & (VIDEO_HISTORY - 1) == 0
assert AUDIO_HISTORY & (AUDIO_HISTORY - 1) == 0
assert PACKETS_PER_TURN_MAX < SEND_QUEUE_MAX
assert SESSIONS_PER_CALLER_MAX < VIEWERS_PER_ROOM_MAX
