-- All orders for each one that names its customer.
with sold as (
  select
    count(distinct l.order_id) as orders,
    count(distinct case when l.customer_id is not null then l.order_id end) as known
  from order_lines l
  where l.day between {first} and {last}
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
)
select cast(orders as double) / nullif(cast(known as double), 0) as value
from sold
