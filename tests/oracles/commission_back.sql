-- Commission taken back on refunds, by the day of the refund.
select coalesce(sum(r.commission_reversed), 0) as value
from refunds r
where r.day between {first} and {last}
