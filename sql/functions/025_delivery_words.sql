-- Why something was not delivered, in the reader's language: what we say ourselves has words; what a mail server or a receiver said
-- stays as it was said.
create or replace function delivery_why(said text) returns jsonb language sql immutable parallel safe as $$
  select case said
    when 'error.url.address' then '{"zh":"该地址所在网段不允许访问；管理员可在 hooks.allow 中放行","en":"the address lies in a network that may not be called; an administrator can allow it in hooks.allow"}'
    when 'error.url.scheme' then '{"zh":"此处只允许 https 地址","en":"only https addresses are allowed here"}'
    when 'error.url.port' then '{"zh":"该端口属于其他服务","en":"the port belongs to another service"}'
    when 'error.url.host' then '{"zh":"主机名为空，或不是 ASCII 形式","en":"the host name is empty or not in ASCII form"}'
    when 'error.url.malformed' then '{"zh":"这不是有效的网址","en":"this is not a web address"}'
    when 'error.url.too_long' then '{"zh":"网址过长","en":"the address is too long"}'
    when 'error.url.user_info' then '{"zh":"网址中不得包含用户名或密码","en":"an address must not contain a user name or password"}'
    when 'error.url.fragment' then '{"zh":"网址中不得包含 # 部分","en":"an address must not contain a # part"}'
    when 'error.header.malformed' then '{"zh":"请求头含换行或缺少名称","en":"a header contains a line break or no name"}'
    when 'error.run.no_receivers' then '{"zh":"没有可送达的收件方","en":"nobody could be reached"}'
    when 'error.call.connection' then '{"zh":"没有登记该连接","en":"no such connection is registered"}'
    when 'error.call.disabled' then '{"zh":"该连接已停用","en":"the connection is switched off"}'
    when 'error.call.method' then '{"zh":"该连接不允许使用此方法","en":"the connection does not allow this method"}'
    when 'error.call.secret' then '{"zh":"所需的密封值尚未登记","en":"a sealed value it needs is not there"}'
    when 'error.call.rehearsal' then '{"zh":"预演不对外调用","en":"a rehearsal calls nothing"}'
    when 'error.call.no_twin' then '{"zh":"该连接没有演练专用地址","en":"the connection has no drill twin"}'
    when 'error.call.no_permit' then '{"zh":"演练对外调用需要两人签发的许可","en":"a drill needs a permit signed by two people for this call"}'
    when 'error.call.url' then '{"zh":"调用地址超出该连接的范围","en":"the address leaves the connection''s own"}'
    when 'error.call.sealed' then '{"zh":"密封值无法读取","en":"a sealed value cannot be read"}'
    when 'error.call.lost' then '{"zh":"发送进程中断，结果不明：请核实对方是否已收到","en":"the sender was lost and nobody knows what became of it: find out whether it arrived"}'
    when 'error.child.unknown' then '{"zh":"被调用的预案未发布，或没有该版本","en":"the called playbook is not published, or not in this version"}'
    when 'error.child.depth' then '{"zh":"预案之间的调用超过八层","en":"playbooks call each other more than eight levels deep"}'
    when 'error.child.refused' then '{"zh":"被调用的预案未能启动","en":"the called playbook would not start"}'
    when 'drill guard' then '{"zh":"演练保护：不得对外发送","en":"drill guard: nothing of a drill may leave"}'
    when 'a drill without its mark' then '{"zh":"演练内容缺少演练标记，未发送","en":"a drill without its mark is not sent"}'
    when 'the endpoint is disabled' then '{"zh":"该接收端已停用","en":"the endpoint is disabled"}'
    when 'the signing secret cannot be read' then '{"zh":"签名密钥无法读取","en":"the signing secret cannot be read"}'
    when 'redirects are not followed' then '{"zh":"不跟随重定向","en":"redirects are not followed"}'
    when 'lease lost' then '{"zh":"处理超时，已交由其他发送进程","en":"the claim ran out and passed to another sender"}'
    when 'sender lost' then '{"zh":"发送进程中断","en":"the sender was lost on the way"}'
    when 'not delivered' then '{"zh":"未送达","en":"not delivered"}'
    when 'no mail server is configured (smtp.host)' then '{"zh":"未配置邮件服务器（smtp.host）","en":"no mail server is configured (smtp.host)"}'
    when 'no connection to the mail server' then '{"zh":"无法连接邮件服务器","en":"no connection to the mail server"}'
    when 'the mail server did not finish in time' then '{"zh":"邮件服务器未在规定时间内完成","en":"the mail server did not finish in time"}'
    when 'the mail session broke off' then '{"zh":"邮件会话中断","en":"the mail session broke off"}'
    when 'the server showed no certificate' then '{"zh":"邮件服务器未出示证书","en":"the server showed no certificate"}'
    when 'the batch is too large' then '{"zh":"本批邮件过大","en":"the batch is too large"}'
    when 'malformed address or empty message' then '{"zh":"地址格式错误或邮件为空","en":"malformed address or empty message"}'
    when 'the message could not be handed to the mail library' then '{"zh":"邮件无法交给发送程序","en":"the message could not be handed to the mail library"}'
    when 'smtp.host is malformed' then '{"zh":"smtp.host 格式错误","en":"smtp.host is malformed"}'
    when 'smtp.ca_file cannot be used' then '{"zh":"smtp.ca_file 无法使用","en":"smtp.ca_file cannot be used"}'
    when 'sign-in to the mail server cannot be set up' then '{"zh":"无法登录邮件服务器","en":"sign-in to the mail server cannot be set up"}'
    when 'smtp.user needs smtp.security = starttls or tls' then '{"zh":"使用 smtp.user 时 smtp.security 须为 starttls 或 tls","en":"smtp.user needs smtp.security = starttls or tls"}'
    end::jsonb
$$;

-- The same, or what was said as it is.
create or replace function delivery_said(said text) returns jsonb language sql immutable parallel safe as $$
  select coalesce(delivery_why(said), to_jsonb(said))
$$;
