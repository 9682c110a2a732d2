-- GMV given back so far, by the day of the order; recent orders have refunds still to come.
select coalesce(sum(r.amount + coalesce(r.subsidy_reversed, 0)), 0) as value
from refunds r
join order_lines l on l.order_id = r.order_id and l.line = r.line
where l.day between {first} and {last}
