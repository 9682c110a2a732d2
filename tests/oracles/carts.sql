-- Times that a product was put in a cart.
select coalesce(sum(t.carts), 0) as value
from traffic t
where t.day between {first} and {last}
