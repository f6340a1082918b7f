-- name: timers_due(most int) -> many
select id, run_id as run from timer where state = 'armed' and due_real <= app_now() order by due_real, id limit $1::int;

-- name: timer_take(timer bigint) -> many
with incident_held as (
  select i.id, i.ref from incident i where i.id = (select r.incident_id from timer t join run r on r.id = t.run_id where t.id = $1::bigint) for update skip locked),
held as (
  select r.id, i.ref from run r join incident_held i on i.id = r.incident_id
  where r.id = (select t.run_id from timer t where t.id = $1::bigint) for update of r skip locked)
select t.id, t.run_id as run, t.path, t.occ, t.kind, t.data, iso(t.due_sim) as due, h.ref from timer t join held h on h.id = t.run_id
where t.id = $1::bigint and t.state = 'armed' and t.due_real <= app_now() for update of t;

-- name: timer_done(timer bigint, state text) -> exec
update timer set state = $2::text where id = $1::bigint and state = 'armed';

-- name: clocks_tick() -> one
select timers_tick() as changed;

-- name: warnings_fold() -> one
select warnings_fold() as people;
