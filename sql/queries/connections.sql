-- name: connections_list(cursor text, limit int, form jsonb) -> one
select body, next from connections_page($1::text, $2::int, coalesce($3::jsonb, '{}'));

-- name: connection_create(body jsonb) -> one
select connection_doc(x.slug) as body, 201 as status, '/connections/' || x.slug as location from (select connection_create($1::jsonb) as slug) as x;

-- name: connection_get(connection text, form jsonb) -> one
select d as body, d ->> 'etag' as etag from (select connection_doc($1::text, coalesce($2::jsonb, '{}')) as d) as x;

-- name: connection_put(connection text, body jsonb, etag text) -> one
select d as body, d ->> 'etag' as etag, '/connections/' || $1 as location from (select connection_doc(connection_put($1::text, $2::jsonb, $3::text)) as d) as x;

-- name: connection_enable(connection text, enabled bool) -> one
select connection_doc(x.slug) as body, '/connections/' || x.slug as location from (select connection_enable($1::text, coalesce($2::bool, false)) as slug) as x;

-- name: secrets_list(form jsonb) -> one
select secrets_page(coalesce($1::jsonb, '{}')) as body;

-- name: secret_create(body jsonb, sealed text) -> one
select x.row::text as body, 201 as status, '/secrets' as location from (select secret_create($1::jsonb, $2::text) as row) x;

-- name: secret_put(secret text, sealed text, etag text) -> one
select x.row::text as body, x.row ->> 'etag' as etag, '/secrets' as location from (select secret_put($1::text, $2::text, $3::text) as row) x;

-- name: secret_remove(secret text) -> one
select '{}'::jsonb as body, '/secrets' as location from (select secret_remove($1::text)) x;
