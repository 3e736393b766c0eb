"""The TURN servers that an answer names, for clients behind firewalls that let no UDP out. Pure.

Credentials are those of the REST scheme that coturn knows as `use-auth-secret`
(draft-uberti-behave-turn-rest-00): a name that says when it ends, and its HMAC under a secret shared with the server.
"""

import base64
import hmac
from typing import Final

CREDENTIAL_S: Final = 3_600  # an allocation that exists is refreshed under its own key for as long as it is used


def ice_server_links(urls: tuple[str, ...], secret: str, *, name: str, now_ms: int) -> str:
    """The Link header (RFC 9725, 4.6) with credentials for `name`; empty when there are no servers."""
    if not urls:
        return ""
    username = f"{now_ms // 1000 + CREDENTIAL_S}:{name}"
    credential = base64.b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()
    proof = f'username="{username}"; credential="{credential}"; credential-type="password"'
    return ", ".join(
        f'<{url}>; rel="ice-server"' + (f"; {proof}" if url.startswith(("turn:", "turns:")) else "") for url in urls
    )
