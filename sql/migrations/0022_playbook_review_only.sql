-- A version is published out of review and in no other way, whoever asks; one that was retired comes back as a new version.

create or replace function playbook_version_guard() returns trigger language plpgsql as $$
begin
  if old.state in ('published','retired') and (new.state not in ('published','retired')
     or (new.body, new.body_sha256, new.source_format, new.source_text) is distinct from
        (old.body, old.body_sha256, old.source_format, old.source_text)) then
    raise exception 'a published playbook version never changes' using errcode = '23514';
  end if;
  if new.state = 'published' and old.state not in ('in_review','published') then
    raise exception 'a playbook version is published out of review' using errcode = '23514';
  end if;
  return new;
end $$;
