-- The fence of calls: a lost sender's answer is taken.
-- breaks locks: the lost sender's late answer to a call counts no more
select mutate('http_settle', 'and x.claim_token = token and', 'and');
