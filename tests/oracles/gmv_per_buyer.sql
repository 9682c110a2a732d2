-- GMV of lines that name their customer, per buyer in the period.
with sold as (
  select
    coalesce(sum(
    l.quantity * l.unit_price - coalesce((
      select sum(d.amount) from order_discounts d
      where d.order_id = l.order_id and d.line = l.line and d.payer = 'merchant'
    ), 0)
  ), 0) as gmv,
    count(distinct l.customer_id) as buyers
  from order_lines l
  where l.day between {first} and {last}
    and l.customer_id is not null
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
)
select cast(gmv as double) / nullif(cast(buyers as double), 0) as value
from sold
