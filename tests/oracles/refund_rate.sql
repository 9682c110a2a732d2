-- Refunds booked in the period as a share of the period's GMV.
with refunds as (
  select coalesce(sum(r.amount + coalesce(r.subsidy_reversed, 0)), 0) as value
  from refunds r
  where r.day between {first} and {last}
),
gmv as (
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
)
select cast(refunds.value as double) / nullif(cast(gmv.value as double), 0) as value
from refunds, gmv
