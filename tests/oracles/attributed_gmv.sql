-- GMV that the platform's attribution credits to advertisements; not what they caused.
select coalesce(sum(a.attributed_gmv), 0) as value
from ads a
where a.day between {first} and {last}
