-- GMV given back, by the day of the refund: what buyers got and the subsidies taken back.
select coalesce(sum(r.amount + coalesce(r.subsidy_reversed, 0)), 0) as value
from refunds r
where r.day between {first} and {last}
