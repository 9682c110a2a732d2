-- Discounts of platform and brand taken back on refunds.
select coalesce(sum(r.subsidy_reversed), 0) as value
from refunds r
where r.day between {first} and {last}
