-- The key of an effect: asked for twice, told twice.
-- breaks locks: asked for again it is the same row
alter table outbox drop constraint outbox_idem_key_key;
select mutate('message_send', 'on conflict (idem_key) do nothing', '');
