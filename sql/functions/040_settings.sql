-- What an administrator sets on the web; where it says nothing the configuration file holds.

create or replace function settings_values() returns jsonb language sql stable as $$
  select jsonb_build_object(
    'site_name', two_languages(setting_get('site_name')), 'public_url', setting_get('public_url') #>> '{}', 'time_zone', setting_get('time_zone') #>> '{}',
    'smtp_host', setting_get('smtp') ->> 'host', 'smtp_port', setting_get('smtp') -> 'port',
    'smtp_security', setting_get('smtp') ->> 'security', 'smtp_user', setting_get('smtp') ->> 'user',
    'smtp_from', setting_get('smtp') ->> 'from', 'smtp_password_set', setting_get('smtp') ? 'password_sealed',
    'update_minutes_I', setting_get('update_minutes', '{"I":30}') -> 'I', 'update_minutes_II', setting_get('update_minutes', '{"II":60}') -> 'II',
    'update_minutes_III', setting_get('update_minutes', '{"III":120}') -> 'III', 'update_minutes_IV', setting_get('update_minutes', '{"IV":240}') -> 'IV',
    'escalation_minutes', setting_get('escalation_minutes', '5'), 'two_person', setting_get('two_person', 'true'))
$$;

create or replace function settings_etag() returns text language sql stable as $$
  select left(sha256_hex(coalesce(string_agg(s.key || s.value::text || s.changed_at::text, E'\n' order by s.key), '')), 16) from setting s
$$;

-- `edit` is what the form shows: what was typed when it is shown again, else what is set.
create or replace function settings_doc(form jsonb) returns jsonb language sql as $$
  select v || jsonb_build_object('etag', settings_etag(),
    'edit', (case when typed then form || jsonb_build_object('two_person', form ? 'two_person',
        'site_name', form -> 'site_name') else v end)
      || jsonb_build_object('securities', choices('{starttls,tls,none}'::text[], coalesce(form ->> 'smtp_security', v ->> 'smtp_security', 'starttls'))),
    'mailbox', (select e.address from endpoint e where e.person_id = me() and e.kind = 'email' and e.disabled_at is null order by e.created_at, e.id limit 1),
    'mail_tests', coalesce((select jsonb_agg(outbox_row(o) order by o.id desc) from (
      select x.* from message m join outbox x on x.message_id = m.id
        where m.purpose = 'test' and m.incident_id is null and m.created_by = me() and x.channel = 'email' and m.created_at > app_now() - interval '1 day'
        order by x.id desc limit 5) as o), '[]'))
  from (select settings_values() as v, coalesce(form, '{}') ?| '{update_minutes_I,escalation_minutes,smtp_host,site_name}' as typed) as t
$$;

-- Null takes the setting away: the configuration file holds again.
create or replace function setting_put(name text, content jsonb) returns void language sql as $$
  delete from setting s where s.key = name and content is null;
  insert into setting(key, value, changed_at, changed_by) select name, content, app_now(), me() where content is not null
    on conflict (key) do update set value = excluded.value, changed_at = excluded.changed_at, changed_by = excluded.changed_by
    where setting.value is distinct from excluded.value
$$;

-- doc: the whole form. sealed: a new mail password, or null to keep the old one unless smtp_password_clear.
create or replace function settings_put(doc jsonb, sealed text, etag text) returns void language plpgsql as $$
declare before jsonb; old text := setting_get('smtp') ->> 'password_sealed';
begin
  perform pg_advisory_xact_lock(hashtext('muster.settings'));
  if etag is not null and etag <> '*' and btrim(etag, '"') <> settings_etag() then perform refuse('MU412', 'error.stale', '', jsonb_build_object('etag', settings_etag())); end if;
  if doc ? 'smtp_host' and not doc ? 'smtp_from' then perform refuse('MU422', 'error.settings.from_needed', '/smtp_from'); end if;
  if doc ->> 'smtp_host' !~ '^[A-Za-z0-9._:-]+$' then perform refuse('MU422', 'error.settings.host', '/smtp_host'); end if;
  before := settings_values();
  if doc ? 'time_zone' and not exists (select 1 from pg_timezone_names z where z.name = doc ->> 'time_zone') then
    perform refuse('MU422', 'error.settings.time_zone', '/time_zone');
  end if;
  perform setting_put('site_name', two_languages(doc -> 'site_name')), setting_put('time_zone', doc -> 'time_zone'),
          setting_put('public_url', to_jsonb(rtrim(doc ->> 'public_url', '/')));
  perform setting_put('smtp', case when doc ? 'smtp_host' then jsonb_strip_nulls(jsonb_build_object('host', doc -> 'smtp_host', 'port', doc -> 'smtp_port',
    'security', coalesce(doc ->> 'smtp_security', 'starttls'), 'user', doc -> 'smtp_user', 'from', doc -> 'smtp_from',
    'password_sealed', case when coalesce((doc ->> 'smtp_password_clear')::boolean, false) then null else coalesce(sealed, old) end)) end);
  perform setting_put('update_minutes', jsonb_build_object('I', coalesce(doc -> 'update_minutes_I', '30'), 'II', coalesce(doc -> 'update_minutes_II', '60'),
    'III', coalesce(doc -> 'update_minutes_III', '120'), 'IV', coalesce(doc -> 'update_minutes_IV', '240')));
  perform setting_put('escalation_minutes', coalesce(doc -> 'escalation_minutes', '5'));
  perform setting_put('two_person', coalesce(doc -> 'two_person', 'false'));
  perform audit('settings.changed', null, coalesce((select jsonb_object_agg(a.key, jsonb_build_object('before', before -> a.key, 'after', a.value))
    from jsonb_each(settings_values()) as a where a.value is distinct from before -> a.key), '{}')
    || case when sealed is not null then '{"smtp_password":"changed"}'::jsonb else '{}' end);
  -- the public page has the name, the address and the zone on it
  if (settings_values() -> 'site_name', settings_values() -> 'public_url', settings_values() -> 'time_zone')
      is distinct from (before -> 'site_name', before -> 'public_url', before -> 'time_zone') then
    perform pg_notify('muster', 'status page 0');
  end if;
end $$;

-- One real mail to whoever asks, through the same outbox as everything else.
create or replace function mail_test() returns void language plpgsql as $$
begin
  if not exists (select 1 from endpoint e where e.person_id = me() and e.kind = 'email' and e.disabled_at is null) then
    perform refuse('MU409', 'error.settings.no_mailbox');
  end if;
  perform message_send(null, 'test', '{"zh":"测试邮件","en":"Test mail"}',
    '{"zh":"这封邮件证明邮件设置可用，无需处理。","en":"This mail shows that the mail settings work. Nothing needs to be done."}',
    jsonb_build_object('asked_by', person_ref(me())), jsonb_build_array(jsonb_build_object('person', me())), '{"event":"test.mail","priority":1}');
  perform audit('settings.mail_tested', null);
end $$;
