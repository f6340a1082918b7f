-- Each sender looks along its own channel, never through the rows of the other.
drop index outbox_ready;
drop index outbox_retry;
create index outbox_ready on outbox(channel, priority, not_before) where state = 'pending' and attempt = 0;
create index outbox_retry on outbox(channel, not_before) where state = 'pending' and attempt > 0;
