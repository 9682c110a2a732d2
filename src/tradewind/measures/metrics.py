"""Every metric of the house, each declared once."""

from __future__ import annotations

import ibis

from tradewind.errors import NotFoundError
from tradewind.measures.fact import Tables
from tradewind.measures.facts import ADS, REFUNDS, REFUNDS_BY_ORDER, SALES, TRAFFIC
from tradewind.measures.metric import Additive, Distinct, Metric, Part, Ratio, Total, leaves
from tradewind.period import Period

# Sales
GMV = Additive(
    name="gmv", title="GMV", unit="money", better=1, fact=SALES, value=lambda row: row.gmv,
    doc="Quantity × unit price less the seller's own discounts, of paid lines; without tax and shipping.",
)  # fmt: skip
GROSS_SALES = Additive(
    name="gross_sales", title="Gross sales", unit="money", better=1, fact=SALES, value=lambda row: row.gross,
    doc="Quantity × unit price of paid lines, before every discount.",
)  # fmt: skip
ITEMS = Additive(
    name="items", title="Items sold", unit="count", better=1, fact=SALES, value=lambda row: row.quantity,
    doc="Pieces in paid lines.",
)  # fmt: skip
ORDERS = Distinct(
    name="orders", title="Orders", unit="count", better=1, fact=SALES, value=lambda row: row.order_id,
    doc="Different orders with at least one paid line.",
)  # fmt: skip
AOV = Ratio(
    name="aov", title="Average order value", unit="money", better=1, over=GMV, under=ORDERS, doc="GMV per order."
)
ITEMS_PER_ORDER = Ratio(
    name="items_per_order", title="Items per order", unit="ratio", better=1, over=ITEMS, under=ORDERS,
    doc="Pieces per order.",
)  # fmt: skip
PRICE_PER_ITEM = Ratio(
    name="price_per_item", title="Price per item", unit="money", better=0, over=GMV, under=ITEMS,
    doc="GMV per piece: what a piece brings after the seller's discounts.",
)  # fmt: skip
GROSS_PRICE = Ratio(
    name="gross_price", title="Price before discount", unit="money", better=0, over=GROSS_SALES, under=ITEMS,
    doc="Gross sales per piece.",
)  # fmt: skip
PRICE_KEPT = Ratio(
    name="price_kept", title="Price kept after discount", unit="share", better=0, over=GMV, under=GROSS_SALES,
    doc="GMV as a share of gross sales: one less the seller's discount rate.",
)  # fmt: skip

# Customers
BUYERS = Distinct(
    name="buyers", title="Buyers", unit="count", better=1, fact=SALES, value=lambda row: row.customer_id,
    doc="Different customers with a paid line; lines without a customer do not count.",
)  # fmt: skip
NEW_BUYERS = Distinct(
    name="new_buyers", title="New buyers", unit="count", better=1, fact=SALES,
    value=lambda row: (row.customer_type == "new").ifelse(row.customer_id, ibis.null("string")),
    doc="Buyers whose first paid order in the data falls in the period.",
)  # fmt: skip
RETURNING_BUYERS = Distinct(
    name="returning_buyers", title="Returning buyers", unit="count", better=1, fact=SALES,
    value=lambda row: (row.customer_type == "returning").ifelse(row.customer_id, ibis.null("string")),
    doc="Buyers who bought in the period and on an earlier day.",
)  # fmt: skip
REPEAT_RATE = Ratio(
    name="repeat_rate", title="Repeat rate", unit="share", better=1, over=RETURNING_BUYERS, under=BUYERS,
    doc="Returning buyers as a share of buyers.",
)  # fmt: skip
GMV_NEW = Additive(
    name="gmv_new", title="GMV of first orders", unit="money", better=1, fact=SALES,
    value=lambda row: (row.customer_type == "new").ifelse(row.gmv, ibis.literal(0).cast(row.gmv.type())),
    doc="GMV that customers brought on the day of their first order.",
)  # fmt: skip
GMV_RETURNING = Additive(
    name="gmv_returning", title="GMV of later orders", unit="money", better=1, fact=SALES,
    value=lambda row: (row.customer_type == "returning").ifelse(row.gmv, ibis.literal(0).cast(row.gmv.type())),
    doc="GMV that customers brought after the day of their first order.",
)  # fmt: skip
GMV_UNKNOWN = Additive(
    name="gmv_unknown", title="GMV without a customer", unit="money", better=0, fact=SALES,
    value=lambda row: (row.customer_type == "unknown").ifelse(row.gmv, ibis.literal(0).cast(row.gmv.type())),
    doc="GMV of lines that name no customer.",
)  # fmt: skip
GMV_KNOWN = Additive(
    name="gmv_known", title="GMV with a customer", unit="money", better=1, fact=SALES,
    value=lambda row: row.customer_id.notnull().ifelse(row.gmv, ibis.literal(0).cast(row.gmv.type())),
    doc="GMV of lines that name their customer.",
)  # fmt: skip
ORDERS_KNOWN = Distinct(
    name="orders_known", title="Orders with a customer", unit="count", better=1, fact=SALES,
    value=lambda row: row.customer_id.notnull().ifelse(row.order_id, ibis.null("string")),
    doc="Different orders with a paid line that names its customer.",
)  # fmt: skip
ORDERS_PER_KNOWN = Ratio(
    name="orders_per_known", title="Orders per order with a customer", unit="ratio", better=0, over=ORDERS,
    under=ORDERS_KNOWN, doc="All orders for each one that names its customer: 1 where every order does.",
)  # fmt: skip
ORDERS_PER_BUYER = Ratio(
    name="orders_per_buyer", title="Orders per buyer", unit="ratio", better=1, over=ORDERS_KNOWN, under=BUYERS,
    doc="Orders that name their customer, per buyer in the period.",
)  # fmt: skip
GMV_PER_BUYER = Ratio(
    name="gmv_per_buyer", title="GMV per buyer", unit="money", better=1, over=GMV_KNOWN, under=BUYERS,
    doc="GMV of lines that name their customer, per buyer in the period.",
)  # fmt: skip

# Breadth
PRODUCTS_SOLD = Distinct(
    name="products_sold", title="Products sold", unit="count", better=1, fact=SALES, value=lambda row: row.product_id,
    doc="Different products with a paid line.",
)  # fmt: skip
SHOPS_SELLING = Distinct(
    name="shops_selling", title="Shops selling", unit="count", better=1, fact=SALES, value=lambda row: row.shop_id,
    doc="Different shops with a paid line.",
)  # fmt: skip
CREATORS_SELLING = Distinct(
    name="creators_selling", title="Creators selling", unit="count", better=1, fact=SALES,
    value=lambda row: row.creator_id, doc="Different creators with a paid line.",
)  # fmt: skip
GMV_PER_PRODUCT = Ratio(
    name="gmv_per_product", title="GMV per product sold", unit="money", better=1, over=GMV, under=PRODUCTS_SOLD,
    doc="GMV per product with a sale.",
)  # fmt: skip

# Discounts
MERCHANT_DISCOUNT = Additive(
    name="merchant_discount", title="Discount paid by sellers", unit="money", better=0, fact=SALES,
    value=lambda row: row.merchant_discount, doc="Discounts on paid lines that the seller funds.",
)  # fmt: skip
PLATFORM_DISCOUNT = Additive(
    name="platform_discount", title="Discount paid by the platform", unit="money", better=0, fact=SALES,
    value=lambda row: row.platform_discount, doc="Discounts on paid lines that the platform funds.",
)  # fmt: skip
BRAND_DISCOUNT = Additive(
    name="brand_discount", title="Discount paid by brands", unit="money", better=0, fact=SALES,
    value=lambda row: row.brand_discount, doc="Discounts on paid lines that a brand funds.",
)  # fmt: skip
CREATOR_DISCOUNT = Additive(
    name="creator_discount", title="Discount paid by creators", unit="money", better=0, fact=SALES,
    value=lambda row: row.creator_discount, doc="Discounts on paid lines that a creator funds.",
)  # fmt: skip
DISCOUNT = Total(
    name="discount", title="Discounts", unit="money", better=0,
    parts=tuple(
        Part(payer, 1, required=True)
        for payer in (MERCHANT_DISCOUNT, PLATFORM_DISCOUNT, BRAND_DISCOUNT, CREATOR_DISCOUNT)
    ),
    doc="Discounts on paid lines, whoever funds them.",
)  # fmt: skip
DISCOUNT_RATE = Ratio(
    name="discount_rate", title="Discount rate", unit="share", better=0, over=DISCOUNT, under=GROSS_SALES,
    doc="Discounts, whoever funds them, as a share of gross sales.",
)  # fmt: skip

# Refunds
REFUND_AMOUNT = Additive(
    name="refunds", title="Refunds", unit="money", better=-1, fact=REFUNDS, value=lambda row: row.gmv_back,
    doc="GMV given back, by the day of the refund: what buyers got and the subsidies taken back.",
)  # fmt: skip
REFUNDED_ITEMS = Additive(
    name="refunded_items", title="Items returned", unit="count", better=-1, fact=REFUNDS,
    value=lambda row: row.quantity, doc="Pieces in refunds, by the day of the refund.",
)  # fmt: skip
REFUND_RATE = Ratio(
    name="refund_rate", title="Refund rate", unit="share", better=-1, over=REFUND_AMOUNT, under=GMV,
    doc="Refunds booked in the period as a share of the period's GMV.",
)  # fmt: skip
REFUNDS_OF_ORDERS = Additive(
    name="refunds_of_orders", title="Refunds of these orders", unit="money", better=-1, fact=REFUNDS_BY_ORDER,
    value=lambda row: row.gmv_back,
    doc="GMV given back so far, by the day of the order; recent orders have refunds still to come.",
)  # fmt: skip
REFUND_RATE_OF_ORDERS = Ratio(
    name="refund_rate_of_orders", title="Refund rate of these orders", unit="share", better=-1,
    over=REFUNDS_OF_ORDERS, under=GMV, doc="Share of the period's own GMV that was given back so far.",
)  # fmt: skip

# Traffic
IMPRESSIONS = Additive(
    name="impressions", title="Impressions", unit="count", better=1, fact=TRAFFIC, value=lambda row: row.impressions,
    doc="Times that a product was shown.",
)  # fmt: skip
CLICKS = Additive(
    name="clicks", title="Clicks", unit="count", better=1, fact=TRAFFIC, value=lambda row: row.clicks,
    doc="Clicks on shown products.",
)  # fmt: skip
CARTS = Additive(
    name="carts", title="Added to cart", unit="count", better=1, fact=TRAFFIC, value=lambda row: row.carts,
    doc="Times that a product was put in a cart.",
)  # fmt: skip
CTR = Ratio(
    name="ctr", title="CTR", unit="share", better=1, over=CLICKS, under=IMPRESSIONS,
    doc="Clicks as a share of impressions.",
)  # fmt: skip
CVR = Ratio(
    name="cvr", title="CVR", unit="share", better=1, over=ORDERS, under=CLICKS, doc="Orders as a share of clicks."
)
GPM = Ratio(
    name="gpm", title="GMV per thousand impressions", unit="money", better=1, over=GMV, under=IMPRESSIONS, times=1000,
    doc="GMV for each thousand times that a product was shown.",
)  # fmt: skip

# Advertising
AD_SPEND = Additive(
    name="ad_spend", title="Advertising", unit="money", better=0, fact=ADS, value=lambda row: row.spend,
    doc="Spent on advertisements, whoever pays.",
)  # fmt: skip
MERCHANT_AD_SPEND = Additive(
    name="merchant_ad_spend", title="Advertising paid by sellers", unit="money", better=-1, fact=ADS,
    value=lambda row: row.merchant_spend, doc="Spent on advertisements by sellers.",
)  # fmt: skip
CREATOR_AD_SPEND = Additive(
    name="creator_ad_spend", title="Advertising paid by creators", unit="money", better=0, fact=ADS,
    value=lambda row: (row.payer == "creator").ifelse(row.spend, ibis.literal(0).cast(row.spend.type())),
    doc="Spent on advertisements by creators.",
)  # fmt: skip
BRAND_AD_SPEND = Additive(
    name="brand_ad_spend", title="Advertising paid by brands", unit="money", better=0, fact=ADS,
    value=lambda row: (row.payer == "brand").ifelse(row.spend, ibis.literal(0).cast(row.spend.type())),
    doc="Spent on advertisements by brands.",
)  # fmt: skip
AD_REVENUE = Additive(
    name="ad_revenue", title="Advertising revenue", unit="money", better=1, fact=ADS,
    value=lambda row: (row.payer != "platform").ifelse(row.spend, ibis.literal(0).cast(row.spend.type())),
    doc="Spent on advertisements by others than the platform; spending by nobody known does not count.",
)  # fmt: skip
ATTRIBUTED_GMV = Additive(
    name="attributed_gmv", title="GMV attributed to advertisements", unit="money", better=0, fact=ADS,
    value=lambda row: row.attributed_gmv,
    doc="GMV that the platform's attribution credits to advertisements; not what they caused.",
)  # fmt: skip
ATTRIBUTED_ROI = Ratio(
    name="attributed_roi", title="Attributed ROI", unit="ratio", better=0, over=ATTRIBUTED_GMV, under=AD_SPEND,
    doc="Attributed GMV per unit spent; not what advertisements caused.",
)  # fmt: skip

# Contribution profit: its terms, then by party
COST = Additive(
    name="cost", title="Cost of goods", unit="money", better=-1, fact=SALES, value=lambda row: row.kept_cost,
    doc="Unit cost of what was sold and not put back on sale.",
)  # fmt: skip
COMMISSION = Additive(
    name="commission", title="Commission", unit="money", better=0, fact=SALES, value=lambda row: row.commission,
    doc="Commission of creators on paid lines, whoever pays it.",
)  # fmt: skip
PLATFORM_COMMISSION = Additive(
    name="platform_commission", title="Commission paid by the platform", unit="money", better=0, fact=SALES,
    value=lambda row: row.platform_commission, doc="The platform's share of commissions on paid lines.",
)  # fmt: skip
COMMISSION_BACK = Additive(
    name="commission_back", title="Commission taken back", unit="money", better=0, fact=REFUNDS,
    value=lambda row: row.commission_reversed, doc="Commission taken back on refunds, by the day of the refund.",
)  # fmt: skip
PLATFORM_COMMISSION_BACK = Additive(
    name="platform_commission_back", title="Commission back to the platform", unit="money", better=0, fact=REFUNDS,
    value=lambda row: row.platform_commission_reversed, doc="The platform's share of commission taken back.",
)  # fmt: skip
PLATFORM_FEE = Additive(
    name="platform_fee", title="Platform fee", unit="money", better=0, fact=SALES, value=lambda row: row.platform_fee,
    doc="What the platform charges sellers on paid lines.",
)  # fmt: skip
FEE_BACK = Additive(
    name="fee_back", title="Platform fee given back", unit="money", better=0, fact=REFUNDS,
    value=lambda row: row.fee_reversed, doc="Platform fees given back on refunds, by the day of the refund.",
)  # fmt: skip
PAYMENT_FEE = Additive(
    name="payment_fee", title="Payment fee", unit="money", better=-1, fact=SALES, value=lambda row: row.payment_fee,
    doc="What the payment provider charges sellers on paid lines.",
)  # fmt: skip
SHIPPING_PAID = Additive(
    name="shipping_paid", title="Shipping paid by buyers", unit="money", better=0, fact=SALES,
    value=lambda row: row.shipping_paid, doc="Shipping charged to buyers on paid lines.",
)  # fmt: skip
SHIPPING_COST = Additive(
    name="shipping_cost", title="Shipping cost", unit="money", better=-1, fact=SALES,
    value=lambda row: row.shipping_cost, doc="What shipping of paid lines cost the seller.",
)  # fmt: skip
RETURN_SHIPPING = Additive(
    name="return_shipping", title="Return shipping", unit="money", better=-1, fact=REFUNDS,
    value=lambda row: row.return_shipping, doc="What the way back cost the seller.",
)  # fmt: skip
SUBSIDY_BACK = Additive(
    name="subsidy_back", title="Subsidies taken back", unit="money", better=0, fact=REFUNDS,
    value=lambda row: row.subsidy_reversed, doc="Discounts of platform and brand taken back on refunds.",
)  # fmt: skip

MERCHANT_PROFIT = Total(
    name="merchant_profit", title="Merchants' contribution profit", unit="money", better=1,
    parts=(
        Part(GMV, 1, required=True), Part(COST, -1, required=True), Part(REFUND_AMOUNT, -1),
        Part(COMMISSION, -1), Part(PLATFORM_COMMISSION, 1), Part(COMMISSION_BACK, 1),
        Part(PLATFORM_COMMISSION_BACK, -1), Part(PLATFORM_FEE, -1), Part(FEE_BACK, 1), Part(PAYMENT_FEE, -1),
        Part(SHIPPING_PAID, 1, beside=SHIPPING_COST), Part(SHIPPING_COST, -1), Part(RETURN_SHIPPING, -1),
        Part(MERCHANT_AD_SPEND, -1),
    ),
    doc="GMV less refunds, cost of goods, commission, fees, net shipping and own advertising.",
)  # fmt: skip
PLATFORM_PROFIT = Total(
    name="platform_profit", title="Platform's contribution profit", unit="money", better=1,
    parts=(
        Part(PLATFORM_FEE, 1, required=True), Part(FEE_BACK, -1), Part(AD_REVENUE, 1), Part(PLATFORM_DISCOUNT, -1),
        Part(SUBSIDY_BACK, 1), Part(PLATFORM_COMMISSION, -1), Part(PLATFORM_COMMISSION_BACK, 1),
    ),
    doc="Fees and advertising revenue less the platform's discounts and its share of commissions.",
)  # fmt: skip
CREATOR_PROFIT = Total(
    name="creator_profit", title="Creators' contribution profit", unit="money", better=1,
    parts=(
        Part(COMMISSION, 1, required=True), Part(COMMISSION_BACK, -1), Part(CREATOR_DISCOUNT, -1),
        Part(CREATOR_AD_SPEND, -1),
    ),
    doc="Commission less what was taken back and the discounts and advertising that creators fund.",
)  # fmt: skip
BRAND_PROFIT = Total(
    name="brand_profit", title="Brands' contribution profit", unit="money", better=1,
    parts=(Part(BRAND_DISCOUNT, -1, required=True), Part(BRAND_AD_SPEND, -1)),
    doc="Less the discounts and advertising that brands fund; what they earn on the goods is not known.",
)  # fmt: skip
MERCHANT_MARGIN = Ratio(
    name="merchant_margin", title="Merchants' contribution margin", unit="share", better=1, over=MERCHANT_PROFIT,
    under=GMV, doc="Merchants' contribution profit as a share of GMV.",
)  # fmt: skip

SETTLING = 90
"""Days from the first of the data until most customers who bought before it have been seen again."""
_NEWCOMERS = frozenset({NEW_BUYERS, RETURNING_BUYERS, GMV_NEW, GMV_RETURNING})


def unsettled(metric: Metric, period: Period, span: Period) -> bool:
    """Whether a metric tells new customers from returning ones in a period too near the data's first day to know."""
    return bool(_NEWCOMERS & set(leaves(metric))) and (period.first - span.first).days < SETTLING


def within_a_shop(metric: Metric) -> bool:
    """Whether a shop's own rows decide its value: not where customers are new or returning, as others' orders tell."""
    return not _NEWCOMERS & set(leaves(metric))


def assumed(metric: Metric, tables: Tables) -> bool:
    """Whether a metric rests on an assumed margin: it counts costs, and some lines have none of their own."""
    supposed = tables.assumptions.margin is not None and COST in leaves(metric)
    return supposed and tables.coverage("order_lines", "unit_cost") < 1


METRICS: dict[str, Metric] = {value.name: value for value in list(globals().values()) if isinstance(value, Metric)}


def metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        NotFoundError: If there is none.
    """
    if name not in METRICS:
        raise NotFoundError("There is no such metric", got=name, allowed=sorted(METRICS))
    return METRICS[name]
