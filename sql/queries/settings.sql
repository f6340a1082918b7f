-- name: settings_get(form jsonb) -> one
select d as body, d ->> 'etag' as etag from (select settings_doc(coalesce($1::jsonb, '{}')) as d) as x;

-- name: settings_put(body jsonb, sealed text, etag text) -> one
select x.d as body, x.d ->> 'etag' as etag, '/settings' as location
  from (select settings_doc('{}') as d from (select settings_put($1::jsonb, $2::text, $3::text)) as y) as x;

-- name: mail_test() -> one
select settings_doc('{}') as body, '/settings#mail' as location, 202 as status from (select mail_test()) as x;

-- What the sender of mail reads before each batch: a null column means the configuration file holds.
-- name: setting_mail() -> one
select setting_get('smtp') ->> 'host' as host, setting_get('smtp') ->> 'port' as port, setting_get('smtp') ->> 'security' as security,
  setting_get('smtp') ->> 'user' as username, setting_get('smtp') ->> 'password_sealed' as password_sealed, setting_get('smtp') ->> 'from' as sender,
  setting_get('public_url') #>> '{}' as public_url, two_languages(setting_get('site_name')) as site_name, setting_get('time_zone') #>> '{}' as time_zone;

-- Whether a node has the key this database was set up with; the first one to ask is the one to be compared with.
-- name: setting_key_print(print text) -> one
with first as (insert into setting(key, value) values ('key_print', to_jsonb($1::text)) on conflict do nothing)
select coalesce((select s.value #>> '{}' from setting s where s.key = 'key_print') = $1::text, true) as same;
