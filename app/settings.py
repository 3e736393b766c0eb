"""Every setting, in one frozen object. This is the only reader of os.environ."""

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec


class SettingError(ValueError):
    """A setting is missing or malformed; the message names it and what it should look like."""


STRIPE_SECRETS_MAX = 2
NO_PROVIDER = "nobody can pay: set STRIPE_SECRET_KEY and its companions, or SIMULATED_PAYMENTS=1 for play money"


class StripeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to talk to Stripe. Never printed: `repr` shows no secret."""

    secret_key: str
    publishable_key: str
    webhook_secrets: tuple[str, ...] = ()  # two while one is being rolled
    account: str = ""  # acct_…; events of any other account are refused
    api_base: str = ""  # empty: Stripe's own

    def __repr__(self) -> str:
        return f"StripeSettings(publishable_key={self.publishable_key!r})"

    @property
    def live(self) -> bool:
        """True when the keys move real money."""
        return "_live_" in self.secret_key


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which mail server takes letters. Never printed: `repr` shows no secret."""

    host: str
    port: int
    tls: bool  # from the first byte; else STARTTLS where it is offered
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"SmtpSettings(host={self.host!r}, port={self.port})"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment decides. Times end in their unit."""

    host: str = "127.0.0.1"
    port: int = 8000
    tls_cert: str = ""
    tls_key: str = ""
    data_dir: Path = Path("var")
    database_url: str = ""  # empty: the embedded Postgres
    redis_url: str = ""  # empty: the embedded Valkey
    demo: bool = True
    media_address: str = ""  # empty: the address on which the request arrived
    media_port: int = 0  # UDP; 0: the same number as `port`
    media_control_url: str = ""  # where the media role is reached, several with commas; empty: a socket in data_dir
    turn_urls: tuple[str, ...] = ()  # offered to clients that cannot reach us by UDP
    turn_secret: str = ""  # shared with the TURN server
    allowed_origins: tuple[str, ...] = ()  # beside the request's own host
    trusted_proxies: tuple[str, ...] = ()
    hold_ttl_s: int = 120
    hold_extended_max_s: int = 300
    offer_ttl_s: int = 60  # of an offer or an admission to somebody who waited in line
    payment_timeout_s: int = 20
    settle_after_s: int = 30
    payment_declines_max: int = 10  # of an account in a quarter of an hour (checkout/decline_rules.py)
    chat_per_10_s: int = 10
    hint_key: str = ""  # under which devices and addresses are hashed; empty: one of this machine's own
    role_silent_s: int = 30  # a role whose event loop stands still for so long is replaced; 0: never
    demo_frames_per_s: int = 15  # of the demo's generated picture
    stripe: StripeSettings | None = None
    simulated_payments: bool = False  # asked for: outside the demo nothing is ever paid with play money by default
    smtp: SmtpSettings | None = None  # without: letters go into a folder of data_dir
    mail_from: str = "orders@hawker.invalid"  # the sender of letters
    public_url: str = ""  # how people reach us, for the addresses in letters; empty: base_url
    webhooks_private: bool = False  # shops' webhooks may also go to private addresses, and over plain http
    webhook_timeout_s: int = 15

    @property
    def secure(self) -> bool:
        """True when Hawker itself speaks TLS."""
        return bool(self.tls_cert)

    @property
    def simulates_payments(self) -> bool:
        """True when no money moves: in the demo, or where it was asked for. Without this and Stripe nobody can pay."""
        return self.stripe is None and (self.demo or self.simulated_payments)

    @property
    def base_url(self) -> str:
        """The address that is printed for people on this machine."""
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def _number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    raw = env.get(name, "")
    if not raw:
        return default
    if not raw.isdecimal() or not low <= int(raw) <= high:
        raise SettingError(f"{name} is {raw!r}; it should be a whole number from {low} to {high}")
    return int(raw)


def _words(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(env.get(name, "").replace(",", " ").split())


def read_settings(env: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises SettingError for a value that makes no sense."""
    env = os.environ if env is None else env
    port = _number(env, "PORT", 8000, 1, 65535)
    settings = Settings(
        host=env.get("HOST", "") or "127.0.0.1",
        port=port,
        tls_cert=env.get("TLS_CERT", ""),
        tls_key=env.get("TLS_KEY", ""),
        data_dir=Path(env.get("HAWKER_DATA", "") or "var").absolute(),
        database_url=env.get("DATABASE_URL", ""),
        redis_url=env.get("REDIS_URL", ""),
        demo=env.get("DEMO", "1") not in {"0", "false", "no"},
        media_address=env.get("MEDIA_ADDRESS", ""),
        media_port=_number(env, "MEDIA_PORT", port, 1, 65535),
        media_control_url=env.get("MEDIA_CONTROL_URL", ""),
        turn_urls=_words(env, "TURN_URLS"),
        turn_secret=env.get("TURN_SECRET", ""),
        allowed_origins=_words(env, "ALLOWED_ORIGINS"),
        trusted_proxies=_words(env, "TRUSTED_PROXIES"),
        hold_ttl_s=_number(env, "HOLD_TTL_S", 120, 1, 3600),
        hold_extended_max_s=_number(env, "HOLD_EXTENDED_MAX_S", 300, 1, 7200),
        offer_ttl_s=_number(env, "OFFER_TTL_S", 60, 1, 600),
        payment_timeout_s=_number(env, "PAYMENT_TIMEOUT_S", 20, 1, 300),
        settle_after_s=_number(env, "SETTLE_AFTER_S", 30, 1, 3600),
        payment_declines_max=_number(env, "PAYMENT_DECLINES_MAX", 10, 1, 10_000),
        chat_per_10_s=_number(env, "CHAT_PER_10_S", 10, 1, 1000),
        hint_key=_secret(env, "HINT_KEY"),
        role_silent_s=_number(env, "ROLE_SILENT_S", 30, 0, 3600),
        demo_frames_per_s=_number(env, "DEMO_FRAMES_PER_S", 15, 1, 30),
        stripe=_stripe(env),
        simulated_payments=env.get("SIMULATED_PAYMENTS", "") in {"1", "true", "yes"},
        smtp=_smtp(env),
        mail_from=env.get("MAIL_FROM", "") or "orders@hawker.invalid",
        public_url=env.get("PUBLIC_URL", "").rstrip("/"),
        webhooks_private=env.get("WEBHOOKS_PRIVATE", "") in {"1", "true", "yes"},
        webhook_timeout_s=_number(env, "WEBHOOK_TIMEOUT_S", 15, 1, 30),
    )
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingError("TLS_CERT and TLS_KEY go together: set both or none")
    if settings.stripe is not None and settings.simulated_payments:
        raise SettingError("SIMULATED_PAYMENTS and STRIPE_SECRET_KEY contradict each other: set one of them")
    _check_turn(settings)
    _check_files(settings)
    _check_addresses(settings)
    _check_mail(settings)
    _check_scheme("PUBLIC_URL", settings.public_url, "https://", "http://")
    for one in settings.media_control_url.split(","):
        _check_scheme("MEDIA_CONTROL_URL", one.strip(), "http://", "unix:")
    _check_scheme("DATABASE_URL", settings.database_url, "postgresql://", "postgres://")
    _check_scheme("REDIS_URL", settings.redis_url, "redis://", "rediss://", "unix://")
    return settings


def settings_with(changes: Mapping[str, str]) -> Settings:
    """`read_settings` of this process's environment with `changes`."""
    return read_settings({**os.environ, **changes})


def _secret(env: Mapping[str, str], name: str) -> str:
    """The value of `name`, or what is in the file that `name`_FILE names."""
    path = env.get(f"{name}_FILE", "")
    try:
        return Path(path).read_text().strip() if path else env.get(name, "")
    except OSError as error:
        raise SettingError(f"{name}_FILE is {path}, which cannot be read") from error


def _stripe(env: Mapping[str, str]) -> StripeSettings | None:
    stripe = StripeSettings(
        secret_key=_secret(env, "STRIPE_SECRET_KEY"),
        publishable_key=env.get("STRIPE_PUBLISHABLE_KEY", ""),
        webhook_secrets=tuple(_secret(env, "STRIPE_WEBHOOK_SECRET").replace(",", " ").split()),
        account=env.get("STRIPE_ACCOUNT", ""),
        api_base=env.get("STRIPE_API_BASE", ""),
    )
    if not (stripe.secret_key or stripe.publishable_key):
        return None
    if not stripe.secret_key.startswith(("sk_", "rk_")) or not stripe.publishable_key.startswith("pk_"):
        raise SettingError("STRIPE_SECRET_KEY (sk_… or rk_…) and STRIPE_PUBLISHABLE_KEY (pk_…) go together")
    if stripe.live is not ("_live_" in stripe.publishable_key):
        raise SettingError("STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are of different modes, live and test")
    if len(stripe.webhook_secrets) > STRIPE_SECRETS_MAX or not all(
        one.startswith("whsec_") for one in stripe.webhook_secrets
    ):
        raise SettingError("STRIPE_WEBHOOK_SECRET should be one or two secrets that begin with whsec_")
    _check_scheme("STRIPE_API_BASE", stripe.api_base, "https://", "http://127.0.0.1:")
    return stripe


def _smtp(env: Mapping[str, str]) -> SmtpSettings | None:
    url = _secret(env, "SMTP_URL")
    if not url:
        return None
    wrong = SettingError("SMTP_URL should be like smtps://user:password@mail.example:465, or smtp:// for STARTTLS")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None  # what was wrong with it may be the password
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
        raise wrong
    tls = parts.scheme == "smtps"
    user, password = (unquote(word or "") for word in (parts.username, parts.password))
    return SmtpSettings(host=parts.hostname, port=port or (465 if tls else 587), tls=tls, user=user, password=password)


def _check_mail(settings: Settings) -> None:
    local, at, domain = settings.mail_from.rpartition("@")
    if not (local and at and domain and settings.mail_from.isascii() and settings.mail_from.isprintable()):
        raise SettingError(f"MAIL_FROM should be like orders@shop.example: {settings.mail_from!r}")
    if settings.smtp is not None and domain.endswith(".invalid"):
        raise SettingError("SMTP_URL needs MAIL_FROM, the address that letters come from")


def _check_scheme(name: str, url: str, *schemes: str) -> None:
    if url and not url.startswith(schemes):
        raise SettingError(f"{name} should begin with {' or '.join(schemes)}")


def _check_turn(settings: Settings) -> None:
    for url in settings.turn_urls:
        if not url.startswith(("turn:", "turns:", "stun:")) or not url.isascii() or set(url) & set('<>"\\'):
            raise SettingError(f"TURN_URLS should be like turn:turn.example:3478?transport=tcp: {url!r}")
    if any(url.startswith("turn") for url in settings.turn_urls) and not settings.turn_secret:
        raise SettingError("TURN_URLS needs TURN_SECRET, the server's static-auth-secret")


def _check_files(settings: Settings) -> None:
    for name, path in (("TLS_CERT", settings.tls_cert), ("TLS_KEY", settings.tls_key)):
        if path and not os.access(path, os.R_OK):
            raise SettingError(f"{name} is {path}, which cannot be read")


def _check_addresses(settings: Settings) -> None:
    try:
        for one in settings.media_address.split(",") if settings.media_address else ():
            ip_address(one.strip())
    except ValueError as error:
        raise SettingError(f"MEDIA_ADDRESS should be an IP address, or several with commas: {error}") from error
    try:
        for one in settings.trusted_proxies:
            ip_network(one, strict=False)
    except ValueError as error:
        raise SettingError(f"TRUSTED_PROXIES should be addresses or networks: {error}") from error


def child_environment(settings: Settings, **changes: str) -> dict[str, str]:
    """The environment for a process that this one starts: our own, our paths made absolute, and `changes`."""
    absolute = {"HAWKER_DATA": str(settings.data_dir), "TLS_CERT": settings.tls_cert, "TLS_KEY": settings.tls_key}
    paths = {name: str(Path(path).absolute()) for name, path in absolute.items() if path}
    return {**os.environ, **paths, **changes}
