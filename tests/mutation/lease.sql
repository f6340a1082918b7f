-- What may leave once leaves although the lease has run out.
-- breaks outbox: after the lease nothing may leave
select mutate('outbox_start', 'and b.lease_until > clock_timestamp()', '');
