-- name: session_open(token_hash text, kind text, role text, lang text, request text, address text) -> one
select person, name, login, roles, must_change, session, site
  from session_open($1::text, $2::text, $3::text, $4::text, $5::text, $6::text);

-- name: signin_page(next text, out text) -> one
select jsonb_build_object('next', $1::text, 'out', $2::text is not null, 'accounts', exists (select 1 from account)) as body;

-- name: sign_in_begin(login text, address text) -> one
select wait, password_hash from sign_in_begin($1::text, $2::text);

-- name: sign_in_end(login text, address text, good bool, session_hash text, agent text) -> one
select person, must_change from sign_in_end($1::text, $2::text, $3::bool, $4::text, $5::text);

-- name: sign_out() -> exec
select sign_out();

-- name: session_revoke(session uuid) -> one
select null::text as body, case when session_revoke($1::uuid) = me() then '/me' end as location;

-- name: sessions_revoke_others() -> one
select null::text as body, '/me' as location from (select sessions_end(me(), my_session())) as x;

-- name: password_page() -> one
select jsonb_build_object('must_change', coalesce(a.must_change, false), 'changed_at', iso(a.changed_at), 'login', p.login) as body
  from person p left join account a on a.person_id = p.id where p.id = me();

-- name: password_hash_mine() -> one
select a.password_hash, p.login, p.name ->> 'zh' as name_zh, p.name ->> 'en' as name_en
  from account a join person p on p.id = a.person_id where a.person_id = me();

-- name: password_set_mine(hash text) -> exec
select account_set(me(), $1::text, false);

-- name: me_get(form jsonb) -> one
select me_doc(coalesce($1::jsonb, '{}')) as body;

-- name: me_change(mail_language text) -> one
select me_doc('{}') as body, '/me' as location
  from (select me_language($1::text)) as x;

-- name: account_set(login text, hash text, must_change bool) -> one
select account_set_login($1::text, $2::text, $3::bool) as person;

-- name: user_create(login text, name jsonb, roles jsonb, email text, hash text) -> one
select user_create($1::text, $2::jsonb, $3::jsonb, $4::text, $5::text) as person;
