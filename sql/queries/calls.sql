-- name: http_claim(node text, most int) -> many
select id, token, kind, delivery, once, base, methods, headers, key, request, secrets, permitted from http_claim($1::text, $2::int);

-- name: http_start(call bigint, token bigint) -> one
select http_start($1::bigint, $2::bigint) as may_go;

-- name: http_settle(call bigint, token bigint, result jsonb) -> many
select run, ref, event, key from http_settle($1::bigint, $2::bigint, $3::jsonb);

-- name: http_lost() -> many
select id, token from http_lost();

-- name: permit_sign(run text, body jsonb) -> one
select r.p::text as body, 201 as status, '/runs/' || $1::text as location from (select permit_sign($1::uuid, $2::jsonb) as p) r;
