-- A call or notice that may leave once goes again after its sender was lost.
-- breaks outbox: whether the two left is not known, so they are not sent again
select mutate('outbox_rescue', 'o.effect = ''once'' and', 'false and');
