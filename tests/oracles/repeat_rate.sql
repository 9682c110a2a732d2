-- Returning buyers as a share of buyers.
with sold as (
  select
    count(distinct case when (
      select min(e.day) from order_lines e
      join order_status p on p.order_id = e.order_id and p.line = e.line and p.status = 'paid'
      where e.customer_id = l.customer_id
    ) < l.day then l.customer_id end) as returning_buyers,
    count(distinct l.customer_id) as buyers
  from order_lines l
  where l.day between {first} and {last}
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
)
select cast(returning_buyers as double) / nullif(cast(buyers as double), 0) as value
from sold
