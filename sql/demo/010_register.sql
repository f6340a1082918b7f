-- A bank that does not exist: Haidong Bank (海东银行). People, teams, who fills which role, services, and what the public sees of
-- them. Nobody here has a password: the administrator gives one where it is wanted. Runs once, into an empty register only.
do $demo$
declare
  v_now timestamptz := app_now();
begin
  if exists (select 1 from setting where key = 'demo') or exists (select 1 from service) then
    return;
  end if;
  insert into setting(key, value) values ('demo', '"register"');
  insert into setting(key, value) values ('site_name', '{"zh":"海东银行","en":"Haidong Bank"}') on conflict do nothing;

  create temp table demo_person(login text, zh text, en text, title_zh text, title_en text, dept_zh text, dept_en text, lang text, role text[]) on commit drop;
  insert into demo_person values
    ('wang.min',    '王敏',   'Wang Min',      '信息科技部总经理', 'Head of IT',               '信息科技部', 'Information Technology', 'zh', '{commander}'),
    ('zhou.kai',    '周凯',   'Zhou Kai',      '运行管理处处长',   'Head of operations',       '数据中心',   'Data Centre',            'zh', '{commander}'),
    ('li.qiang',    '李强',   'Li Qiang',      '应用运维主管',     'Application lead',         '数据中心',   'Data Centre',            'zh', '{responder}'),
    ('chen.jie',    '陈洁',   'Chen Jie',      '数据库管理员',     'Database administrator',   '数据中心',   'Data Centre',            'zh', '{responder}'),
    ('liu.yang',    '刘洋',   'Liu Yang',      '值班经理',         'Duty manager',             '数据中心',   'Data Centre',            'zh', '{responder}'),
    ('sun.li',      '孙莉',   'Sun Li',        '消费者权益与宣传主管', 'Communications lead',  '办公室',     'General Office',         'zh', '{responder}'),
    ('zhao.hui',    '赵辉',   'Zhao Hui',      '操作风险经理',     'Operational risk manager', '风险管理部', 'Risk Management',        'zh', '{risk,approver}'),
    ('ma.rui',      '马睿',   'Ma Rui',        '合规与监管联络人', 'Regulatory liaison',       '法律合规部', 'Compliance',             'zh', '{responder,approver}'),
    ('xu.jing',     '徐静',   'Xu Jing',       '内部审计师',       'Internal auditor',         '审计部',     'Internal Audit',         'zh', '{auditor}'),
    ('gao.feng',    '高峰',   'Gao Feng',      '副行长',           'Vice president',           '行领导',     'Executive Office',       'zh', '{viewer,approver}'),
    ('emily.carter','艾米丽·卡特', 'Emily Carter', '海外分行信息科技主管', 'Head of IT, overseas branch', '海外分行', 'Overseas Branch', 'en', '{responder}'),
    ('he.ping',     '何平',   'He Ping',       '零售金融部经理',   'Retail banking manager',   '零售金融部', 'Retail Banking',         'zh', '{responder}'),
    ('wu.gang',     '吴刚',   'Wu Gang',       '信息安全主管',     'Head of information security', '信息科技部', 'Information Technology', 'zh', '{responder}'),
    ('lin.yue',     '林悦',   'Lin Yue',       '法律顾问',         'Legal counsel',            '法律合规部', 'Compliance',             'zh', '{responder,approver}');
  insert into person(login, name, title, department, language)
    select login, jsonb_build_object('zh', zh, 'en', en), jsonb_build_object('zh', title_zh, 'en', title_en), jsonb_build_object('zh', dept_zh, 'en', dept_en), lang
    from demo_person on conflict (login) do nothing;
  insert into person_role select p.id, r from demo_person d join person p on p.login = d.login, unnest(d.role) r on conflict do nothing;
  insert into endpoint(kind, person_id, address, language, drill_safe)
    select 'email', p.id, replace(d.login, '.', '-') || '@haidong.example', d.lang, d.login in ('wang.min','zhou.kai','li.qiang','liu.yang')
    from demo_person d join person p on p.login = d.login;

  insert into role_holder(role, person_id, deputy, position)
    select x.role, p.id, x.deputy, x.n from (values
      ('commander','wang.min',false,1), ('commander','zhou.kai',true,2), ('tech_lead','li.qiang',false,1), ('tech_lead','chen.jie',true,2),
      ('comms','sun.li',false,1), ('risk','zhao.hui',false,1), ('compliance','ma.rui',false,1), ('duty','liu.yang',false,1), ('executive','gao.feng',false,1),
      ('security','wu.gang',false,1), ('legal','lin.yue',false,1), ('business','he.ping',false,1), ('supplier_manager','chen.jie',false,1)) x(role, login, deputy, n)
    join person p on p.login = x.login on conflict do nothing;
  insert into team(slug, name) values ('executives', '{"zh":"行领导","en":"Executives"}'), ('operations', '{"zh":"数据中心运行","en":"Data-centre operations"}'),
    ('retail', '{"zh":"零售金融","en":"Retail banking"}') on conflict do nothing;
  insert into team_member select t.id, p.id from (values ('executives','gao.feng'), ('operations','zhou.kai'), ('operations','li.qiang'), ('operations','chen.jie'),
      ('operations','liu.yang'), ('retail','he.ping')) x(team, login) join team t on t.slug = x.team join person p on p.login = x.login on conflict do nothing;

  insert into service(slug, kind, name, description, owner_department, owner_id, importance, important_system, rto_seconds, rpo_seconds, app)
    select x.slug, x.kind, jsonb_build_object('zh', x.zh, 'en', x.en), jsonb_build_object('zh', x.about_zh, 'en', x.about_en),
      (select p.department from person p where p.login = x.owner), (select p.id from person p where p.login = x.owner), x.importance, x.system, x.rto, x.rpo, x.app::jsonb
    from (values
      ('mobile-banking','app','手机银行','Mobile banking','个人客户的移动应用：登录、转账、支付、理财','The app of personal customers: sign-in, transfers, payments, investments','li.qiang','vital',true,1800,300,
        '{"kind":"native","platforms":["android","ios","harmonyos"],"stores":[],"versions":["8.2.1"],"filings":[]}'),
      ('internet-banking','app','网上银行','Internet banking','个人和企业网银','Web banking for personal and business customers','li.qiang','vital',true,3600,300,'{"kind":"web","platforms":["web"],"stores":[],"versions":["6.0"],"filings":[]}'),
      ('mini-program','app','微信小程序','Mini program','查询、预约、缴费','Enquiries, appointments, bill payment','he.ping','normal',false,14400,3600,'{"kind":"mini_program","platforms":["wechat"],"stores":[],"versions":["3.4"],"filings":[]}'),
      ('card-payment','business','银行卡支付','Card payments','借记卡、信用卡的收单与发卡交易','Acquiring and issuing of debit and credit cards','zhou.kai','vital',true,1800,0,null),
      ('fast-payment','business','快捷支付','Online quick payments','第三方支付机构的绑卡支付','Payments through payment institutions with a bound card','zhou.kai','vital',true,1800,0,null),
      ('transfer','business','转账汇款','Transfers','行内、跨行和大小额转账','Transfers inside the bank, between banks, large and small value','zhou.kai','vital',true,3600,0,null),
      ('branch-counter','business','柜面业务','Branch counters','网点现金与非现金业务','Cash and other business at branch counters','he.ping','important',false,7200,3600,null),
      ('atm','business','自助设备','ATMs','取款机、存取款一体机','Cash machines','zhou.kai','important',false,7200,3600,null),
      ('core-banking','system','核心业务系统','Core banking','账户、总账、计息','Accounts, general ledger, interest','chen.jie','vital',true,1800,0,null),
      ('customer-data','data','客户信息库','Customer data','客户身份与联系信息','Identity and contact data of customers','chen.jie','vital',true,3600,0,null),
      ('sms-gateway','supplier','短信通道','SMS gateway','验证码和通知短信的外部服务商','Outside provider of one-time codes and notices','li.qiang','important',false,3600,3600,null),
      ('dc-east','site','东湾数据中心','East Bay data centre','生产数据中心','The production data centre','zhou.kai','vital',false,1800,null,null)
    ) x(slug, kind, zh, en, about_zh, about_en, owner, importance, system, rto, rpo, app);

  insert into component(slug, name, description, service_id, position, start_date, created_at, updated_at)
    select x.slug, jsonb_build_object('zh', x.zh, 'en', x.en), jsonb_build_object('zh', x.about_zh, 'en', x.about_en), (select s.id from service s where s.slug = x.slug), x.n,
      (v_now - interval '120 days')::date, v_now - interval '120 days', v_now - interval '120 days'
    from (values ('mobile-banking','手机银行','Mobile banking','登录、转账、支付、理财','Sign-in, transfers, payments, investments',1), ('internet-banking','网上银行','Internet banking','个人与企业网银','Personal and business',2),
      ('card-payment','银行卡支付','Card payments','刷卡与取现','Shops and cash machines',3), ('fast-payment','快捷支付','Online quick payments','在支付应用中使用银行卡','Cards bound in payment apps',4),
      ('transfer','转账汇款','Transfers','行内与跨行','Inside the bank and to other banks',5), ('branch-counter','网点柜面','Branch counters','营业网点','All branches',6)) x(slug, zh, en, about_zh, about_en, n)
    on conflict (slug) do nothing;
end $demo$;
