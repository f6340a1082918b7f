-- name: tokens_list(form jsonb) -> one
select tokens_doc(coalesce($1::jsonb, '{}')) as body;

-- name: token_create(name text, scopes jsonb, days int, hash text, last_four text) -> one
select token_create($1::text, $2::jsonb, $3::int, $4::text, $5::text) as body;

-- name: token_revoke(token uuid) -> one
select null::text as body, '/tokens' as location from (select token_revoke($1::uuid)) as x;

-- name: token_create_for(login text, name text, scopes jsonb, days int, hash text, last_four text) -> one
select token_create_for($1::text, $2::text, $3::jsonb, $4::int, $5::text, $6::text) as body;
