-- A claim leaves its rows in the queue.
-- breaks outbox: nothing is left
select mutate('outbox_claim', 'delete from outbox_queue q where q.id = any(array(select f.id from first_tries f union all select r.id from retries r)) returning q.id',
  'select f.id from first_tries f union all select r.id from retries r');
