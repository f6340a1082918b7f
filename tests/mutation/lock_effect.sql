-- The answer to an effect does not wait for the transition under way.
-- breaks locks: so does the answer to an effect
select mutate('outbox_effect', 'for update', '');
