"""The doors of a shop's campaigns: its routes. Decodes and views; decides nothing."""

from functools import partial

from app.catalog.campaigns import Campaign, Campaigns, NewCampaign, campaigns_of, end_campaign, make_campaign
from app.catalog.parts import Catalog
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal


def endpoints(parts: Catalog) -> list[Endpoint]:
    """The routes of a shop's campaigns."""
    return [
        Endpoint(
            method="GET",
            path="/api/campaigns",
            right=Right.SHOP_HOST,
            action=partial(_list, parts),
            summary="A shop's campaigns",
            answer=Campaigns,
            query=("shop",),
        ),
        Endpoint(
            method="POST",
            path="/api/campaigns",
            right=Right.SHOP_HOST,
            action=partial(_make, parts),
            summary="Make a campaign: percent off for a while",
            body=NewCampaign,
            answer=Campaign,
        ),
        Endpoint(
            method="POST",
            path="/api/campaigns/{campaign}/end",
            right=Right.SHOP_HOST,
            action=partial(_end, parts),
            summary="End a campaign now, or call it off",
            answer=Campaign,
            query=("shop",),
        ),
    ]


async def _list(parts: Catalog, call: Call) -> Reply | Refusal:
    return Reply(await campaigns_of(parts.pg, call.request.query_params["shop"]))


async def _make(parts: Catalog, call: Call) -> Reply | Refusal:
    made = await make_campaign(parts.pg, call.signed_in.id, call.body)
    return made if isinstance(made, Refusal) else Reply(made, status=201)


async def _end(parts: Catalog, call: Call) -> Reply | Refusal:
    ended = await end_campaign(parts.pg, call.request.query_params["shop"], call.path["campaign"])
    return ended if isinstance(ended, Refusal) else Reply(ended)
