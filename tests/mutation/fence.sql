-- The fence of the outbox: whoever answers is believed, whatever token it holds.
-- breaks outbox: the dead sender's late answer counts no more
select mutate('outbox_settle', 'where b.token = any(array(select distinct r.token from r))', ''), mutate('outbox_settle', 'r.token = b.token and', ''),
  mutate('outbox_settle', 'select unnest(b.ids) except select f.id from fit f where f.token = b.token', 'select unnest(b.ids) except select f.id from fit f');
