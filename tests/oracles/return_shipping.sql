-- What the way back cost the seller.
select coalesce(sum(r.return_shipping), 0) as value
from refunds r
where r.day between {first} and {last}
