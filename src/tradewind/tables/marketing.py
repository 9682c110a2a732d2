"""Traffic, advertising, coupons, commissions, campaigns, promotions, outreach and experiments."""

from __future__ import annotations

from tradewind.tables.sales import CREATOR, CUSTOMER, PRODUCT, SHOP, demand
from tradewind.tables.schema import Column, Hop, Reference, Table, count, flag, ident, key, moment, money, real, share, text

CAMPAIGN = Reference(("campaign_id",), "campaigns")
COUPON = Reference(("coupon_id",), "coupons")
MY_BUYERS = Hop("order_lines", ("customer_id",))
MY_PRODUCTS = Hop("products", ("product_id",))
OWN_OR_EVERYBODYS = (Hop(or_null=True),)


def through(part_of: Reference, also: Hop) -> tuple[Hop, ...]:
    """Return the ways to a shop for parts of what may be everybody's: of that, a merchant sees only their own part."""
    return (Hop(part_of.table, part_of.columns, own=True), Hop(part_of.table, part_of.columns, also=also))


TABLES = (
    Table(
        "traffic",
        "One hour of one product's exposure on one surface.",
        (
            Column("hour", "moment", "local", null=False),
            key("shop_id"),
            ident("product_id"),
            *demand(),
            ident("creator_id"),
            ident("live_id"),
            ident("content_id"),
            count("impressions"),
            count("clicks"),
            count("carts"),
        ),
        key=("hour", "shop_id", "product_id", "surface", "form", "relation", "creator_id", "live_id", "content_id"),
        time="hour",
        references=(SHOP, PRODUCT, CREATOR),
    ),
    Table(
        "events",
        "One thing that one customer did or saw.",
        (
            key("event_id"),
            moment("at", null=False),
            moment("known_at", null=False, default="at"),
            ident("customer_id"),
            ident("product_id"),
            ident("shop_id"),
            text("surface", allowed=("feed", "search", "mall", "store", "external")),
            text("form", allowed=("card", "video", "live")),
            ident("creator_id"),
            ident("live_id"),
            ident("content_id"),
            text("kind", null=False),
            share("sampling_rate", doc="Chance with which such an event was logged."),
        ),
        key=("event_id",),
        time="at",
        references=(SHOP, PRODUCT, CUSTOMER),
    ),
    Table(
        "ads",
        "One hour of one advertisement.",
        (
            key("ad_id"),
            Column("hour", "moment", "local", null=False),
            text("payer", allowed=("merchant", "platform", "creator", "brand")),
            ident("shop_id"),
            ident("product_id"),
            ident("content_id"),
            ident("live_id"),
            money("spend", null=False),
            count("impressions"),
            count("clicks"),
            count("attributed_orders"),
            money("attributed_gmv"),
            real("attribution_window", unit="days", low=0),
        ),
        key=("ad_id", "hour"),
        time="hour",
        references=(SHOP, PRODUCT),
    ),
    Table(
        "coupons",
        "A coupon as issued; `shop_id` is null for a coupon of the whole marketplace.",
        (
            key("coupon_id"),
            ident("shop_id"),
            text("scope", doc="What it applies to."),
            money("face_value"),
            share("rate"),
            money("threshold"),
            moment("starts_at"),
            moment("ends_at"),
            share("platform_share"),
            share("brand_share"),
        ),
        key=("coupon_id",),
        references=(SHOP,),
        shop=OWN_OR_EVERYBODYS,
    ),
    Table(
        "coupon_grants",
        "A coupon in a customer's hands.",
        (
            key("coupon_id"),
            key("customer_id"),
            moment("granted_at"),
            moment("seen_at"),
            ident("redeemed_order_id"),
            share("propensity", doc="Chance with which this customer was granted it."),
            flag("claimed", doc="Whether the customer took it themselves, rather than being given it."),
        ),
        key=("coupon_id", "customer_id"),
        references=(COUPON, CUSTOMER),
        shop=through(COUPON, MY_BUYERS),
    ),
    Table(
        "contacts",
        "One message to one customer.",
        (
            key("contact_id"),
            key("customer_id"),
            ident("shop_id"),
            text("medium"),
            moment("sent_at", null=False),
            moment("opened_at"),
            money("cost"),
        ),
        key=("contact_id",),
        time="sent_at",
        references=(SHOP, CUSTOMER),
    ),
    Table(
        "commissions",
        "A contract between a shop and a creator for a product.",
        (
            key("contract_id"),
            ident("shop_id"),
            ident("product_id"),
            ident("creator_id"),
            share("rate"),
            money("flat_fee"),
            money("sample_cost"),
            share("platform_share"),
            moment("invited_at"),
            moment("accepted_at"),
            moment("ends_at"),
        ),
        key=("contract_id",),
        references=(SHOP, PRODUCT, CREATOR),
        creator=(Hop(on=("creator_id",)),),
    ),
    Table(
        "campaigns",
        "A dated campaign; `shop_id` is null for one of the whole marketplace.",
        (
            key("campaign_id"),
            ident("shop_id"),
            text("name"),
            text("kind"),
            moment("starts_at", null=False),
            moment("ends_at"),
        ),
        key=("campaign_id",),
        references=(SHOP,),
        shop=OWN_OR_EVERYBODYS,
    ),
    Table(
        "campaign_products",
        "A product in a campaign.",
        (key("campaign_id"), key("product_id"), money("price")),
        key=("campaign_id", "product_id"),
        part_of=CAMPAIGN,
        references=(CAMPAIGN, PRODUCT),
        shop=through(CAMPAIGN, MY_PRODUCTS),
    ),
    Table(
        "campaign_customers",
        "A customer whom a campaign addressed.",
        (key("campaign_id"), key("customer_id")),
        key=("campaign_id", "customer_id"),
        part_of=CAMPAIGN,
        references=(CAMPAIGN, CUSTOMER),
        shop=through(CAMPAIGN, MY_BUYERS),
    ),
    Table(
        "promotions",
        "A product's placement or price promotion in a shop, from one day to another.",
        (
            key("product_id"),
            key("shop_id"),
            Column("starts_on", "day", "local", null=False),
            Column("ends_on", "day", "local"),
            text("kind"),
            text("placement"),
            share("discount"),
        ),
        key=("product_id", "shop_id", "starts_on"),
        references=(PRODUCT, SHOP),
    ),
    Table(
        "assignments",
        "The arm of an experiment that a unit was put in.",
        (
            key("experiment_id"),
            key("unit_kind"),
            key("unit_id"),
            ident("shop_id"),
            text("arm", null=False),
            share("propensity"),
            moment("assigned_at"),
        ),
        key=("experiment_id", "unit_kind", "unit_id"),
        references=(SHOP,),
    ),
)
