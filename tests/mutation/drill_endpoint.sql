-- A row may say other things of its endpoint than the endpoint does.
-- breaks guards: a row cannot claim to be safe
select mutate('outbox_made', 'if exists (select from made m', 'if false and exists (select from made m');
