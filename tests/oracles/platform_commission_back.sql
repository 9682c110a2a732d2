-- The platform's share of commission taken back.
select coalesce(sum(round(
  r.commission_reversed * cast(coalesce(l.commission_platform_share, 0) as decimal(18, 8)), 4
)), 0) as value
from refunds r
left join order_lines l on l.order_id = r.order_id and l.line = r.line
where r.day between {first} and {last}
