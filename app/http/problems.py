"""Refusals in HTTP's words: RFC 9457 problem documents, and the one table that gives each code its status.

Owns the table and the document's shape. It never decides that something is refused.
"""

from typing import Final

import msgspec
from starlette.responses import Response

from app.refusal import Refusal

PROBLEM_TYPE: Final = "application/problem+json"

STATUS_OF: Final[dict[str, int]] = {
    # What the edge itself refuses.
    "malformed": 400,
    "unknown_field": 400,
    "idempotency_key": 400,
    "sign_in": 401,
    "forbidden": 403,
    "csrf": 403,
    "foreign_origin": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "slow_body": 408,
    "too_large": 413,
    "content_type": 415,
    "internal": 500,
    "unavailable": 503,
    # Accounts.
    "wrong_credentials": 401,
    "too_many_tries": 429,
    "busy": 503,
    "name_taken": 409,
    "name_reserved": 409,
    "name_invalid": 400,
    "email_taken": 409,
    "email_invalid": 400,
    "password_weak": 400,
    "demo_off": 404,
    "too_many_guests": 429,
    # Catalog.
    "photo_invalid": 400,
    "text_invalid": 400,
    "unknown_photo": 400,
    "unknown_variant": 400,
    "too_many": 409,
    "stock_limit": 409,
    # Shows.
    "show_state": 409,
    "show_ended": 409,
    "unknown_product": 400,
    "is_host": 409,
    "unknown_person": 404,
    # Webhooks.
    "url_invalid": 400,
    "unknown_event": 400,
    # Stock and sales.
    "all_held": 409,
    "sold_out": 409,
    "over_limit": 409,
    "over_card_limit": 409,
    "over_address_limit": 409,
    "address_invalid": 400,
    "not_started": 409,
    "ended": 409,
    "not_admitted": 403,
    "admission_used": 409,
    "address_limit": 409,
    "nothing_shown": 409,
    "which_one": 409,
    "keyword_invalid": 400,
    "rebuilding": 503,
    "stock_short": 409,
    "sale_state": 409,
    "price_invalid": 400,
    # Checkout.
    "hold_ended": 409,
    "payment_declined": 402,
    "payment_challenge": 402,
    "too_many_declines": 429,
    "method_unknown": 400,
    "card_expired": 409,
    "payments_off": 503,
    "coupon_unknown": 404,
    "coupon_early": 409,
    "coupon_expired": 409,
    "coupon_show": 409,
    "coupon_audience": 409,
    "coupon_used": 409,
    "coupon_used_up": 409,
    "coupon_minimum": 409,
    "coupon_taken": 409,
    "unknown_show": 400,
    "order_state": 409,
    "refund_too_large": 422,
    "refund_currency": 422,
    "refund_units": 422,
    "webhook_signature": 400,
    "webhook_mismatch": 422,
    "payment_pending": 504,
    "in_progress": 409,
    "idempotency_mismatch": 422,
    "order_invalid": 422,
    "agreement_needed": 409,
    "address_needed": 409,
    "shipping_unknown": 409,
    "total_changed": 409,
    "policy_changed": 409,
    "conditions_invalid": 422,
    "conditions_changed": 409,
    "tracking_invalid": 400,
    "cart_empty": 409,
    "cart_full": 409,
    # Chat and moderation.
    "empty": 400,
    "too_long": 400,
    "too_fast": 429,
    "crowded": 429,
    "timed_out": 403,
    "banned": 403,
    "overloaded": 503,
    "chat_off": 403,
    "links_off": 400,
    "flood": 400,
    "not_now": 403,
    "warned": 403,
    "repeated": 429,
    "decided": 409,
    "author_silenced": 409,
    "term_invalid": 400,
    "too_many_reports": 429,
    "overtaken": 409,
    "undone": 409,
    "no_undoing": 409,
    "emoji_only": 403,
    "buyers_only": 403,
    "followers_only": 403,
    "not_banned": 409,
    "not_unique": 429,
    "ticker_invalid": 400,
    "replies_invalid": 400,
    "answers_invalid": 400,
    "poll_invalid": 400,
    "poll_open": 409,
    "poll_over": 409,
    "answered": 409,
    # Media.
    "sdp_malformed": 400,
    "sdp_unserved": 422,
    "not_live": 409,
    "publisher_present": 409,
    "precondition_required": 428,
    "precondition_failed": 412,
    "too_many_sessions": 503,
}

TITLE_OF: Final[dict[int, str]] = {
    400: "The request makes no sense as it stands",
    401: "Sign in first",
    402: "The payment did not go through",
    403: "Not allowed",
    404: "Not found",
    405: "This address does not take that method",
    408: "The request took too long to arrive",
    409: "It does not fit the present state",
    412: "The thing has changed meanwhile",
    413: "Too large",
    415: "Wrong kind of content",
    422: "Understood, but it cannot be done",
    428: "A condition is required",
    429: "Too many requests",
    500: "Something broke on our side",
    503: "Not available just now",
    504: "The answer has not come yet",
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem document. `code` is the stable part; the rest is for people."""

    title: str
    status: int
    detail: str
    code: str
    type: str = "about:blank"
    retry_after_ms: int | None = None
    details: dict[str, str | int] | None = None


def problem_of(refusal: Refusal) -> Problem:
    """The document of a refusal. A code without a line in STATUS_OF is a KeyError: a defect of its author."""
    status = STATUS_OF[refusal.code]
    return Problem(
        title=TITLE_OF[status],
        status=status,
        detail=refusal.message,
        code=refusal.code,
        retry_after_ms=refusal.retry_after_ms,
        details=refusal.details,
    )


def problem_response(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    """The HTTP answer of a refusal, with Retry-After (whole seconds, rounded up) when it says when to come back."""
    problem = problem_of(refusal)
    headers = dict(headers or {})
    if refusal.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-refusal.retry_after_ms // 1000))
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return Response(msgspec.json.encode(problem), problem.status, headers, PROBLEM_TYPE)
