-- The public status page. Read by the snapshot renderer, and by the two public pages that need the database.

-- name: status_snapshot() -> one
select status_snapshot()::text as body;

-- name: status_incident(code text) -> one
select status_incident_page($1::text)::text as body;

-- name: status_history() -> one
select (jsonb_build_object('history', s -> 'history', 'site', s -> 'site', 'page', s -> 'page'))::text as body from status_snapshot() s;

-- name: status_updates(incident text, form jsonb) -> one
select status_form($1::text, $2::jsonb)::text as body;

-- name: status_update_post(incident text, status text, body jsonb) -> one
select p.body_json as body, p.status_code as status, p.location
  from status_post($1::text, $2::text, $3::jsonb -> 'text', $3::jsonb -> 'components', $3::jsonb -> 'title') p;
