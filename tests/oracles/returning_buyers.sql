-- Buyers who bought in the period and on an earlier day.
select count(distinct l.customer_id) as value
from order_lines l
where l.day between {first} and {last}
  and exists (
    select 1 from order_status s
    where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
  )
  and (
    select min(e.day) from order_lines e
    join order_status p on p.order_id = e.order_id and p.line = e.line and p.status = 'paid'
    where e.customer_id = l.customer_id
  ) < l.day
