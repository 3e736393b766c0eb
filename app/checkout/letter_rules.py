"""What is written to buyers: an order stands, it is on its way, money went back. Values in, a letter out.

Every header is set through email's own policy, which refuses a line break in one: no name and no title can add a
header or a recipient. Text only; an address in it is one that we made ourselves or that shipment_rules let in.
"""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

import msgspec

from app.checkout.csv_rules import plain_amount
from app.checkout.views import OrderView

NAME_LENGTH_MAX: Final = 60
_PLAIN_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9.-]{1,253}"
)
"""RFC 5322's dot-atom: no quotes, no comments, no second address."""
KINDS: Final = ("confirmed", "shipped", "cancelled", "refunded")
_SUBJECTS: Final = {
    "confirmed": "Your order at {shop}",
    "shipped": "Your order at {shop} is on its way",
    "cancelled": "Your order at {shop} is cancelled",
    "refunded": "A refund of your order at {shop}",
}
_OPENINGS: Final = {
    "confirmed": "Thank you. Your order stands, and it is paid.",
    "shipped": "Your order is on its way.",
    "cancelled": "Your order is cancelled, and you pay nothing for it. What your bank set aside for it is free again.",
    "refunded": "{refund} of your order went back to you. How soon you see it depends on your bank.",
}


class Occasion(msgspec.Struct, frozen=True):
    """Why somebody is written to. `refund_minor` is of a refund; `policy` the text that was agreed to, "" for none."""

    kind: str
    order: OrderView
    shop: str
    buyer: str
    email: str
    at: datetime
    page: str
    refund_minor: int = 0
    policy: str = ""


def write_letter(occasion: Occasion, *, sender: str, name: str) -> EmailMessage | None:
    """The letter; None when there is no writing to that address. `name` makes its Message-ID."""
    shop = one_line(occasion.shop)
    if not _PLAIN_ADDRESS.fullmatch(occasion.email):
        return None
    letter = EmailMessage(policy=SMTP)
    by = Address(display_name=shop, addr_spec=sender)
    letter["To"] = Address(addr_spec=occasion.email)
    letter["From"] = by
    letter["Subject"] = _SUBJECTS[occasion.kind].format(shop=shop)
    letter["Date"] = format_datetime(occasion.at)
    letter["Message-ID"] = f"<{name}@{by.domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content("\n".join(_lines(occasion)) + "\n", cte="quoted-printable")
    return letter


def one_line(text: str) -> str:
    """The text as a header can have it: printable, on one line, not too long."""
    bare = "".join(sign if sign.isprintable() else " " for sign in text).replace("=?", "= ?")  # no encoded word
    return " ".join(bare.split())[:NAME_LENGTH_MAX] or "Hawker"


def _lines(occasion: Occasion) -> list[str]:
    order, sums = occasion.order, occasion.order.charges

    def amount(minor: int) -> str:
        return f"{plain_amount(minor, order.currency)} {order.currency}"

    opening = _OPENINGS[occasion.kind].format(refund=amount(occasion.refund_minor))
    lines = [f"Hello {one_line(occasion.buyer)},", "", opening, "", f"Order {order.id}"]
    lines += [
        f"  {one.quantity} x {one_line(one.title)}: {amount(one.quantity * one.unit_price_minor)}"
        for one in order.lines
    ]
    if sums is not None:
        if sums.discount_minor:
            lines.append(f"  Discount: -{amount(sums.discount_minor)}")
        if sums.shipping:
            lines.append(f"  Shipping, {one_line(sums.shipping)}: {amount(sums.shipping_minor)}")
        if sums.tax_minor:
            where = "included" if sums.tax_included else "on top"
            lines.append(f"  Tax, {sums.tax_rate_bp / 100:g} %, {where}: {amount(sums.tax_minor)}")
    lines += [f"  Total: {amount(order.total_minor)}", ""]
    if occasion.kind == "shipped" and order.shipment is not None:
        parcel = order.shipment
        lines += [one_line(f"{parcel.carrier} {parcel.number}"), *([parcel.url] if parcel.url else []), ""]
    lines.append(f"Your order's page: {occasion.page}")
    if occasion.kind == "confirmed" and occasion.policy:
        lines += ["", "The return policy that you agreed to:", "", occasion.policy]
    return lines
