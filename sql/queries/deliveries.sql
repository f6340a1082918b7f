-- name: deliveries_of(incident text, state text, channel text, cursor text, limit int) -> one
select body, next from deliveries_of($1::text, $2::text, $3::text, $4::text, $5::int);

-- name: deliveries_dead(cursor text, limit int) -> one
select body, next from deliveries_dead($1::text, $2::int);

-- name: delivery_get(id bigint) -> one
select body, etag from delivery_get($1::bigint);

-- name: delivery_replay(id bigint) -> one
select r::text as body, '/deliveries/' || $1::text as location, 200 as status, 'incident:' || (r->>'ref') || ' *' as hint from delivery_replay($1::bigint) r;

-- name: deliveries_replay(incident text) -> one
select r::text as body, '/incidents/' || $1::text || '/deliveries' as location, 200 as status, 'incident:' || $1::text || ' *' as hint from deliveries_replay($1::text) r;

-- name: ack_get(token text) -> one
select body, status from ack_get($1::text);

-- name: ack_post(token text) -> one
select body, location, 200 as status, run, 'incident:' || ref || ' *' as hint,
  jsonb_build_object('kind', 'acknowledge', 'path', path, 'occ', occ, 'data', '{}'::jsonb)::text as event,
  jsonb_build_object('kind', 'user', 'id', person, 'name', person_name)::text as actor
from ack_post($1::text);

-- name: ack_steps(token text) -> many
select run, jsonb_build_object('kind', 'acknowledge', 'path', path, 'occ', occ, 'data', '{}'::jsonb)::text as event,
  jsonb_build_object('kind', 'user', 'id', person, 'name', person_name)::text as actor
from ack_steps($1::text);
