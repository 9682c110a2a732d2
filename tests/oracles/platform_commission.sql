-- The platform's share of commissions on paid lines.
select coalesce(sum(
  round(
    l.commission * cast(coalesce(l.commission_platform_share, 0) as decimal(18, 8)), 4
  )
), 0) as value
from order_lines l
where l.day between {first} and {last}
  and exists (
    select 1 from order_status s
    where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
  )
