-- A version that was published is never deleted either: runs, reports and reviews point at it.
create function playbook_version_kept() returns trigger language plpgsql as $$
begin
  if old.state in ('published','retired') then
    raise exception 'a published playbook version is never deleted' using errcode = '23514';
  end if;
  return old;
end $$;
create trigger playbook_version_kept before delete on playbook_version for each row execute function playbook_version_kept();
create trigger playbook_version_no_truncate before truncate on playbook_version for each statement execute function forbid_change();
