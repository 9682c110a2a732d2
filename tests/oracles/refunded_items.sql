-- Pieces in refunds, by the day of the refund.
select coalesce(sum(r.quantity), 0) as value
from refunds r
where r.day between {first} and {last}
