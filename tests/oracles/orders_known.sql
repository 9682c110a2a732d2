-- Different orders with a paid line that names its customer.
select count(distinct l.order_id) as value
from order_lines l
where l.day between {first} and {last}
  and exists (
    select 1 from order_status s
    where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
  )
  and l.customer_id is not null
