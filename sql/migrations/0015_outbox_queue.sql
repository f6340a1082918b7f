-- What waits, what is on its way and what became of it, apart. A row of the outbox used to be written three times, each time into a
-- dozen indexes. Now it is written when it is made and once more when its fate is known, in place; what changes meanwhile is narrow.

-- What all recipients of one message are told alike is kept once.
alter table message add column event text, add column about jsonb;   -- type for web hooks; the incident as it was when it was told
alter table outbox alter column payload set default '{}';             -- only what is this row's own

-- Rows that wait for a sender. Lane 0 are retries, the others first tries by their priority: a receiver that is down never keeps
-- news from the rest.
create table outbox_queue(
  id bigint primary key,                                              -- of the outbox
  channel text not null, lane smallint not null, not_before timestamptz not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);
create index outbox_queue_ready on outbox_queue(channel, lane, not_before);
create index outbox_queue_again on outbox_queue(id) where lane = 0;

-- What one sender has taken and not yet answered for. The token is the fence: whoever does not hold it changes nothing.
create table outbox_batch(
  token bigint primary key, node text not null, lease_until timestamptz not null, ids bigint[] not null);
alter table outbox_batch alter column ids set storage plain;          -- short and short-lived: packing them costs more than it saves

drop index outbox_ready;
drop index outbox_retry;
drop index outbox_lease;
drop index outbox_dead;
drop trigger outbox_endpoint_guard on outbox;
-- whoever held these is gone; one that may not be repeated and had started is for a person to judge
update outbox set state = 'unknown', done_at = clock_timestamp(), last_error = 'sender lost' where state = 'claimed' and effect = 'once' and started_at is not null;
update outbox set state = 'pending' where state = 'claimed';
insert into outbox_queue(id, channel, lane, not_before)
  select id, channel, case when attempt > 0 then 0 else priority end, not_before from outbox where state = 'pending';
alter table outbox drop constraint outbox_state_check,
  add constraint outbox_state_check check (state in ('pending','done','simulated','dead','cancelled','unknown')),
  drop column claim_token, drop column claimed_by, drop column lease_until,
  -- the last try, when it settled the matter; the tries before it are rows of their own
  add column code int, add column answer text, add column ms int,
  -- an index may name this one: it does not change when all goes well, so that record is written in place
  add column bad boolean not null generated always as (state in ('dead','unknown')) stored;
create index outbox_bad on outbox(id) where bad;
create index outbox_unalarmed on outbox(id) where bad and alarmed_at is null;
alter table outbox drop constraint outbox_ack_token_key;
create unique index outbox_ack_token on outbox(ack_token) where ack_token is not null;
alter table outbox set (fillfactor = 55);

-- Tries that did not settle the matter, and what a person tried again; with the last good one they are the record of deliveries.
alter table delivery rename to outbox_try;
update outbox o set code = t.code, answer = t.detail, ms = t.ms from outbox_try t
  where t.outbox_id = o.id and t.attempt = o.attempt and t.outcome in ('sent','simulated') and o.state in ('done','simulated');
delete from outbox_try t using outbox o where o.id = t.outbox_id and o.attempt = t.attempt and t.outcome in ('sent','simulated') and o.state in ('done','simulated');
create view delivery as
  select outbox_id, attempt, at, outcome, code, detail, ms from outbox_try
  union all
  select id, attempt, done_at, case state when 'done' then 'sent' else 'simulated' end, code, answer, ms from outbox where state in ('done','simulated');

-- A row says of its endpoint what the endpoint says of itself; and whatever is to leave waits in the queue.
create function outbox_made() returns trigger language plpgsql as $$
begin
  if exists (select from made m join endpoint e on e.id = m.endpoint_id
             where m.drill_safe and not e.drill_safe or m.audience is distinct from e.audience or m.address is distinct from e.address) then
    raise exception 'outbox row does not match its endpoint' using errcode = '23514';
  end if;
  insert into outbox_queue(id, channel, lane, not_before)
    select id, channel, case when attempt > 0 then 0 else priority end, not_before from made where state = 'pending';
  return null;
end $$;
create trigger outbox_made after insert on outbox referencing new table as made for each statement execute function outbox_made();
drop function outbox_endpoint_guard();
