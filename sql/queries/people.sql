-- name: people_list(q text, role text, active text, cursor text, limit int, form jsonb) -> one
select body, next from people_page($1::text, $2::text, $3::text, $4::text, $5::int, coalesce($6::jsonb, '{}'));

-- name: person_create(body jsonb) -> one
select person_doc(x.id) as body, '/people/' || x.id as location, 201 as status from (select person_create($1::jsonb) as id) as x;

-- name: person_get(person uuid, form jsonb) -> one
select d as body, d ->> 'etag' as etag from (select person_doc($1::uuid, coalesce($2::jsonb, '{}')) as d) as x;

-- name: person_put(person uuid, body jsonb, etag text) -> one
select x.d as body, '/people/' || $1 as location, x.d ->> 'etag' as etag
  from (select person_doc(y.id) as d from (select person_put($1::uuid, $2::jsonb, $3::text) as done, $1::uuid as id) as y) as x;

-- name: person_active(person uuid, active bool) -> one
select person_doc($1::uuid) as body, '/people/' || $1 as location from (select person_active($1::uuid, coalesce($2::bool, false))) as x;

-- name: person_password(person uuid, hash text) -> one
select p.login from (select account_reset($1::uuid, $2::text) as login) as p;

-- name: contact_add(person uuid, email text, drill_safe bool) -> one
select person_doc($1::uuid) as body, case when $1::uuid = me() then '/me' else '/people/' || $1 end as location
  from (select contact_add($1::uuid, $2::text, coalesce($3::bool, false))) as x;

-- name: contact_remove(contact uuid) -> one
select null::text as body, case when x.who = me() then '/me' else '/people/' || x.who end as location from (select contact_remove($1::uuid) as who) as x;

-- name: roles_list(form jsonb) -> one
select roles_doc(coalesce($1::jsonb, '{}')) as body;

-- name: role_holder_put(role text, person uuid, deputy bool, position int) -> one
select roles_doc('{}') as body, '/roles' as location from (select role_holder_put($1::text, $2::uuid, $3::bool, $4::int)) as x;

-- name: role_holder_remove(role text, person uuid) -> one
select null::text as body, '/roles' as location from (select role_holder_remove($1::text, $2::uuid)) as x;

-- name: teams_list(form jsonb) -> one
select teams_doc(coalesce($1::jsonb, '{}')) as body;

-- name: team_create(body jsonb) -> one
select teams_doc('{}') as body, '/teams' as location, 201 as status from (select team_create($1::jsonb)) as x;

-- name: team_remove(team text) -> one
select null::text as body, '/teams' as location from (select team_remove($1::text)) as x;

-- name: team_member_put(team text, person uuid) -> one
select teams_doc('{}') as body, '/teams' as location from (select team_member_put($1::text, $2::uuid)) as x;

-- name: team_member_remove(team text, person uuid) -> one
select null::text as body, '/teams' as location from (select team_member_remove($1::text, $2::uuid)) as x;
