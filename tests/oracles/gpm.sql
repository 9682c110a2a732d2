-- GMV for each thousand times that a product was shown.
with gmv as (
  select coalesce(sum(
    l.quantity * l.unit_price - coalesce((
      select sum(d.amount) from order_discounts d
      where d.order_id = l.order_id and d.line = l.line and d.payer = 'merchant'
    ), 0)
  ), 0) as value
  from order_lines l
  where l.day between {first} and {last}
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
),
impressions as (
  select coalesce(sum(t.impressions), 0) as value
  from traffic t
  where t.day between {first} and {last}
)
select 1000 * cast(gmv.value as double) / nullif(cast(impressions.value as double), 0) as value
from gmv, impressions
