-- name: run_load(run text, key text) -> one
select state, seq, last_hash, kind, hash, playbook, version, engine, now, incident, me, me_name, commander, answered_sha, answered from run_load($1::uuid, $2::text);

-- name: run_playbook(playbook text, version int) -> one
select body::text as body from playbook_version where playbook_id = $1::uuid and version = $2::int;

-- name: run_facts(run text, given jsonb, profiles jsonb) -> one
select run_facts($1::uuid, $2::jsonb, $3::jsonb)::text as body;

-- name: run_write(run text, result jsonb, command jsonb) -> one
select run_write($1::uuid, $2::jsonb, $3::jsonb)::text as body;

-- name: run_record(run text) -> one
select run_record($1::uuid)::text as body;

-- name: run_child(run text, effect jsonb) -> one
select run_child($1::uuid, $2::jsonb)::text as body;

-- name: run_child_end(run text, started bool) -> exec
select run_child_end($1::uuid, $2::bool);

-- name: run_clock(run text, body jsonb) -> one
select r.events::text as events from (select run_clock($1::uuid, $2::jsonb) as events) r;
