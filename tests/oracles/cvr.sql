-- Orders as a share of clicks.
with orders as (
  select count(distinct l.order_id) as value
  from order_lines l
  where l.day between {first} and {last}
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
),
clicks as (
  select coalesce(sum(t.clicks), 0) as value
  from traffic t
  where t.day between {first} and {last}
)
select cast(orders.value as double) / nullif(cast(clicks.value as double), 0) as value
from orders, clicks
