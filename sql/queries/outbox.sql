-- name: outbox_claim(node text, channel text, fresh int, again int, lease int, base text) -> many
select id, token, attempt, kind, delivery, effect, audience, drill_safe, endpoint_drill_safe, endpoint_disabled, address, language,
  secret, event_id, ref, severity, purpose, created_at, document
from outbox_claim($1::text, $2::text, $3::int, $4::int, make_interval(secs => $5::int), $6::text);

-- name: outbox_start(claims jsonb) -> many
select outbox_start as id from outbox_start($1::jsonb);

-- name: outbox_settle(results jsonb) -> many
select run, path, occ from outbox_settle($1::jsonb);

-- name: outbox_rescue(losses int) -> one
select outbox_rescue($1::int) as rescued;

-- name: outbox_effects_due(most int) -> many
select run, path, occ, ref from outbox_effects_due($1::int);

-- name: outbox_effect(run uuid, path text, occ int) -> many
select key, round, reached, simulated, dead, unknown, error from outbox_effect($1::uuid, $2::text, $3::int);

-- name: outbox_alarm(late int) -> many
select outbox_alarm as ref from outbox_alarm(make_interval(secs => $1::int));

-- name: outbox_numbers() -> one
select pending, oldest, dead from outbox_numbers();

-- name: instance_beat(name text, version text) -> exec
insert into instance as i(name, process, version, started_at, seen_at) values ($1::text, 'work', $2::text, clock_timestamp(), clock_timestamp())
on conflict (name) do update set process = 'work', version = excluded.version, seen_at = clock_timestamp(),
  started_at = case when i.seen_at < clock_timestamp() - interval '1 minute' then clock_timestamp() else i.started_at end;
