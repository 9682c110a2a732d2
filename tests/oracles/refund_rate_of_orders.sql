-- Share of the period's own GMV that was given back so far.
with refunds_of_orders as (
  select coalesce(sum(r.amount + coalesce(r.subsidy_reversed, 0)), 0) as value
  from refunds r
  join order_lines l on l.order_id = r.order_id and l.line = r.line
  where l.day between {first} and {last}
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
select cast(refunds_of_orders.value as double) / nullif(cast(gmv.value as double), 0) as value
from refunds_of_orders, gmv
