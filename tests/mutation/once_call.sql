-- A call that may be made once is made again after its sender was lost.
-- breaks locks: and is not made again by itself
select mutate('http_lost', 'h.effect = ''once'' and', 'false and');
