-- name: endpoints_list(cursor text, limit int, form jsonb) -> one
select body, next from endpoints_page($1::text, $2::int, coalesce($3::jsonb, '{}'));

-- name: endpoint_create(body jsonb, sealed text) -> one
select endpoint_doc(x.slug) as body, '/endpoints/' || x.slug as location from (select endpoint_create($1::jsonb, $2::text) as slug) as x;

-- name: endpoint_get(endpoint text, form jsonb) -> one
select d as body, d ->> 'etag' as etag from (select endpoint_doc($1::text, coalesce($2::jsonb, '{}')) as d) as x;

-- name: endpoint_put(endpoint text, body jsonb, etag text) -> one
select d as body, d ->> 'etag' as etag, '/endpoints/' || $1 as location
  from (select endpoint_doc(endpoint_put($1::text, $2::jsonb, $3::text)) as d) as x;

-- name: endpoint_enable(endpoint text, enabled bool) -> one
select endpoint_doc(x.slug) as body, '/endpoints/' || x.slug as location from (select endpoint_enable($1::text, coalesce($2::bool, false)) as slug) as x;

-- name: endpoint_secret(endpoint text, sealed text) -> one
select endpoint_secret($1::text, $2::text) as slug;

-- name: endpoint_test(endpoint text) -> one
select endpoint_doc(x.slug) as body, '/endpoints/' || x.slug as location, 202 as status from (select endpoint_test($1::text) as slug) as x;
