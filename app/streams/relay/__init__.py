"""The media relay: WebRTC sessions on one UDP port, forwarded without decoding. It imports nothing by itself, so
that the web role can use `wire` without loading aiortc.
"""
