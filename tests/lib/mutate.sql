-- Hands for tests/mutation: one guard less. A text that is not there any more is an error, or a mutation would quietly change nothing.
create function mutate(fn text, before text, after text) returns void language plpgsql as $$
declare v_text text := pg_get_functiondef(fn::regproc); v_new text := replace(v_text, before, after);
begin
  if v_new = v_text then raise exception '% does not say "%"', fn, before; end if;
  execute v_new;
end $$;
