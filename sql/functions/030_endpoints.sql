-- Web hooks and shared mailboxes: where messages go that are not for one person.

create or replace function endpoint_find(wanted text) returns endpoint language plpgsql stable as $$
declare e endpoint;
begin
  select * into e from endpoint x where x.slug = wanted and x.person_id is null;
  if not found then perform refuse('MU404', 'error.endpoint.unknown'); end if;
  return e;
end $$;

create or replace function endpoint_row(e endpoint) returns jsonb language sql stable as $$
  select jsonb_build_object('id', e.id, 'slug', e.slug, 'kind', e.kind, 'name', e.name, 'address', e.address, 'audience', e.audience,
    'drill_safe', e.drill_safe, 'language', e.language, 'events', e.events, 'has_secret', e.secret_sealed is not null,
    'disabled', e.disabled_at is not null, 'disabled_at', iso(e.disabled_at), 'disabled_why', e.disabled_why,
    'is_webhook', e.kind = 'webhook')
$$;

-- One outbox row and what became of it, as the pages about deliveries show it.
create or replace function outbox_row(o outbox) returns jsonb language sql stable as $$
  select jsonb_build_object('id', o.id, 'state', o.state, 'delivery', o.delivery, 'created_at', iso(o.created_at), 'done_at', iso(o.done_at),
    'attempt', o.attempt, 'last_error', delivery_said(o.last_error), 'address', o.address, 'subject', coalesce((select m.subject from message m where m.id = o.message_id), o.payload -> 'subject'),
    'moving', o.state = 'pending', 'good', o.state = 'done', 'bad', o.state in ('dead', 'unknown'),
    'not_before', iso(o.not_before),
    'attempts', coalesce((select jsonb_agg(jsonb_build_object('attempt', d.attempt, 'at', iso(d.at), 'outcome', d.outcome, 'code', d.code,
      'detail', delivery_said(d.detail), 'ms', d.ms) order by d.attempt) from delivery d where d.outbox_id = o.id), '[]'))
$$;

create or replace function endpoint_edit(form jsonb, e endpoint) returns jsonb language sql stable as $$
  select case when typed then jsonb_build_object('slug', form -> 'slug', 'address', form -> 'address', 'events', form -> 'events',
      'name', form -> 'name', 'drill_safe', form ? 'drill_safe')
    else jsonb_build_object('slug', e.slug, 'address', e.address, 'events', array_to_string(e.events, E'\n'), 'name', e.name, 'drill_safe', coalesce(e.drill_safe, false)) end
    || jsonb_build_object('kinds', choices('{webhook,email}'::text[], coalesce(form ->> 'kind', e.kind, 'webhook')),
      'audiences', choices('{internal,customer,regulator}'::text[], coalesce(form ->> 'audience', e.audience, 'internal')),
      'languages', choices('{zh,en}'::text[], coalesce(form ->> 'language', e.language, 'zh')))
  from (select coalesce(form, '{}') ?| '{slug,address,name}' as typed) as t
$$;

drop function if exists endpoints_page(text, int, jsonb);
create function endpoints_page(after text, most int, form jsonb) returns table(body jsonb, next text) language plpgsql stable as $$
declare take int := least(coalesce(most, 50), 200); list jsonb;
begin
  select coalesce(jsonb_agg(endpoint_row(x.e) || jsonb_build_object('last', (select jsonb_build_object('state', o.state, 'at', iso(coalesce(o.done_at, o.created_at)))
             from outbox o where o.endpoint_id = (x.e).id order by o.id desc limit 1)) order by x.rn) filter (where x.rn <= take), '[]'),
         case when count(*) > take then (array_agg((x.e).slug order by x.rn))[take] end
    into list, endpoints_page.next
    from (select e, row_number() over (order by e.slug) as rn from endpoint e
          where e.person_id is null and e.slug is not null and (nullif(after, '') is null or e.slug > after)
          order by e.slug limit take + 1) as x;
  endpoints_page.body := jsonb_build_object('items', list, 'edit', endpoint_edit(form, null));
  return next;
end $$;

create or replace function endpoint_doc(wanted text, form jsonb default '{}') returns jsonb language plpgsql as $$
declare e endpoint := endpoint_find(wanted);
begin
  return endpoint_row(e) || jsonb_build_object('version', e.version, 'etag', e.version::text, 'created_at', iso(e.created_at), 'edit', endpoint_edit(form, e),
    'deliveries', coalesce((select jsonb_agg(outbox_row(o) order by o.id desc)
      from (select * from outbox x where x.endpoint_id = e.id order by x.id desc limit 20) as o), '[]'));
end $$;

create or replace function endpoint_check(doc jsonb) returns void language plpgsql as $$
begin
  -- A name or a password in the address would be shown to everybody who sees a delivery.
  if doc ->> 'kind' = 'webhook' and doc ->> 'address' !~ '^https?://[^/?#@[:space:]]+([/?#][^[:space:]]*)?$' then perform refuse('MU422', 'error.field.url', '/address'); end if;
  if doc ->> 'kind' = 'email' and doc ->> 'address' !~ '^[^@\s]+@[^@\s]+$' then perform refuse('MU422', 'error.field.email', '/address'); end if;
  if coalesce(doc ->> 'audience', 'internal') <> 'internal' and coalesce((doc ->> 'drill_safe')::boolean, false) then
    perform refuse('MU422', 'error.endpoint.drill_safe', '/drill_safe');
  end if;
  -- The table keeps shared internal mailboxes out: an internal mail address belongs to a person.
  if doc ->> 'kind' = 'email' and coalesce(doc ->> 'audience', 'internal') = 'internal' then
    perform refuse('MU422', 'error.endpoint.internal_email', '/audience');
  end if;
end $$;

create or replace function endpoint_events(doc jsonb) returns text[] language sql immutable as $$
  select case jsonb_typeof(doc -> 'events') when 'array' then array(select jsonb_array_elements_text(doc -> 'events'))
    when 'string' then array(select x from regexp_split_to_table(doc ->> 'events', '[\s,]+') as x where x <> '') else '{}' end
$$;

create or replace function endpoint_create(doc jsonb, sealed text) returns text language plpgsql as $$
begin
  perform endpoint_check(doc);
  if exists (select 1 from endpoint e where e.slug = doc ->> 'slug') then
    perform refuse('MU409', 'error.slug_taken', '/slug', jsonb_build_object('slug', doc ->> 'slug'));
  end if;
  insert into endpoint(kind, slug, name, address, audience, drill_safe, secret_sealed, language, events, created_at)
    values (doc ->> 'kind', doc ->> 'slug', two_languages(doc -> 'name'), doc ->> 'address', coalesce(doc ->> 'audience', 'internal'),
      coalesce((doc ->> 'drill_safe')::boolean, false), case when doc ->> 'kind' = 'webhook' then sealed end,
      coalesce(doc ->> 'language', 'zh'), endpoint_events(doc), app_now());
  perform audit('endpoint.created', doc ->> 'slug', jsonb_build_object('kind', doc -> 'kind', 'address', doc -> 'address', 'audience', coalesce(doc ->> 'audience', 'internal')));
  return doc ->> 'slug';
end $$;

create or replace function endpoint_put(wanted text, doc jsonb, etag text) returns text language plpgsql as $$
declare e endpoint;
begin
  select * into e from endpoint x where x.slug = wanted and x.person_id is null for update;
  if not found then perform refuse('MU404', 'error.endpoint.unknown'); end if;
  perform etag_check(etag, e.version);
  doc := doc || jsonb_build_object('kind', e.kind);
  perform endpoint_check(doc);
  update endpoint x set name = two_languages(doc -> 'name'), address = doc ->> 'address', audience = coalesce(doc ->> 'audience', 'internal'),
    drill_safe = coalesce((doc ->> 'drill_safe')::boolean, false), language = coalesce(doc ->> 'language', x.language),
    events = endpoint_events(doc), version = x.version + 1 where x.id = e.id;
  perform audit('endpoint.changed', wanted, jsonb_build_object('address_before', e.address, 'address', doc -> 'address',
    'audience', coalesce(doc ->> 'audience', 'internal'), 'drill_safe', coalesce((doc ->> 'drill_safe')::boolean, false)));
  return e.slug;
end $$;

create or replace function endpoint_enable(wanted text, wish boolean) returns text language plpgsql as $$
declare e endpoint := endpoint_find(wanted);
begin
  update endpoint x set disabled_at = case when not wish then coalesce(x.disabled_at, app_now()) end,
    disabled_why = case when not wish then 'by hand' end, version = x.version + 1 where x.id = e.id;
  perform audit(case when wish then 'endpoint.enabled' else 'endpoint.disabled' end, wanted);
  return wanted;
end $$;

create or replace function endpoint_secret(wanted text, sealed text) returns text language plpgsql as $$
declare e endpoint := endpoint_find(wanted);
begin
  if e.kind <> 'webhook' then perform refuse('MU409', 'error.endpoint.no_secret'); end if;
  update endpoint x set secret_sealed = sealed, version = x.version + 1 where x.id = e.id;
  perform audit('endpoint.secret_changed', wanted);
  return wanted;
end $$;

-- Sends a ping the way everything is sent: through the outbox. The page shows what really became of it. Regulators and customers
-- are never sent a test.
create or replace function endpoint_test(wanted text) returns text language plpgsql as $$
declare e endpoint := endpoint_find(wanted);
begin
  if e.audience <> 'internal' then perform refuse('MU409', 'error.endpoint.test_outside'); end if;
  if e.disabled_at is not null then perform refuse('MU409', 'error.endpoint.disabled'); end if;
  perform message_send(null, 'test', '{"zh":"测试消息","en":"Test message"}',
    '{"zh":"这是一条测试消息，用于确认接收端可用，无需处理。","en":"This is a test message to confirm that the receiver works. Nothing needs to be done."}',
    jsonb_build_object('asked_by', person_ref(me())), jsonb_build_array(jsonb_build_object('endpoint', e.id)), '{"event":"test.ping","priority":1}');
  perform audit('endpoint.tested', wanted);
  return wanted;
end $$;
