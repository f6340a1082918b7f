-- Finding things by a piece of their name, also by two Chinese characters; the orders of the lists; imports that wait for a yes.

-- All pairs of neighbouring characters of a text, in lower case: an index on them answers "contains" for two characters and more.
create function search_grams(content text) returns text[] language sql immutable parallel safe strict as $$
  select coalesce(array_agg(distinct substr(t, i, 2)), '{}')
  from lower(left(content, 400)) as t, generate_series(1, length(t) - 1) as i
$$;

-- The text that a row is found by: both languages of a name and more words.
create function search_text(name jsonb, more text default '') returns text language sql immutable parallel safe as $$
  select concat_ws(' ', name ->> 'zh', name ->> 'en', more)
$$;

-- Names in the order of pinyin.
create function sort_name(name jsonb) returns text language sql immutable parallel safe as $$
  select coalesce(nullif(name ->> 'zh', ''), name ->> 'en', '')
$$;

-- Vital first.
create function service_rank(importance text) returns int language sql immutable parallel safe as $$
  select array_position('{vital,important,normal,low}'::text[], importance)
$$;

create index service_search on service using gin (search_grams(search_text(name, slug)));
create index incident_search on incident using gin (search_grams(title || ' ' || ref));
create index person_search on person using gin (search_grams(search_text(name, login)));
create index service_order on service(service_rank(importance), slug) where retired_at is null;
create index service_kind_order on service(kind, service_rank(importance), slug) where retired_at is null;
create index person_order on person((sort_name(name) collate "zh-x-icu"), id);
create index audit_event_object on audit_event(object, seq desc);
create index outbox_endpoint on outbox(endpoint_id, id desc);
create index endpoint_slug_order on endpoint(slug) where person_id is null;

-- A table of services that was checked and waits for its yes.
create table service_import(
  id uuid primary key default gen_random_uuid(),
  file_name text, rows jsonb not null, summary jsonb not null,
  created_by uuid not null references person, created_at timestamptz not null,
  done_at timestamptz);
create index service_import_created on service_import(created_at);
