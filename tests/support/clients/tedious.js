// What tedious makes of the server: a line for each thing that it did.
const { Connection, Request, TYPES } = require("tedious");
const c = new Connection({server:"127.0.0.1",authentication:{type:"default",options:{userName:process.env.MS_USER,password:process.env.MS_PASSWORD}},
 options:{port:+process.env.MS_PORT,database:process.env.MS_DB,encrypt:process.env.MS_TLS==="1",trustServerCertificate:true,connectTimeout:10000,useUTC:true}});
function run(sql,params=[],method="execSql"){return new Promise((ok,no)=>{const rows=[],out={};const r=new Request(sql,(e,n)=>e?no(e):ok({rows,n,out}));
 for(const p of params){ if(p.out) r.addOutputParameter(p.name,p.type,p.value,p.options); else r.addParameter(p.name,p.type,p.value,p.options);}
 r.on("row",cs=>rows.push(cs.map(x=>x.value)));r.on("returnValue",(n,v)=>out[n]=v);c[method](r);});}
c.connect(async e=>{ if(e){console.error("connect",e);process.exit(1);}
 try{
  console.log(JSON.stringify(await run("SELECT 1 AS a, N'é' AS b")));
  await run("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(50), d decimal(10,2), b varbinary(9), at datetime2(3), g uniqueidentifier, m nvarchar(max), f float, k bit)",[], "execSqlBatch");
  const g="A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
  console.log(JSON.stringify(await run("INSERT INTO t VALUES (@a,@v,@d,@b,@at,@g,@m,@f,@k)",[{name:"a",type:TYPES.Int,value:1},{name:"v",type:TYPES.NVarChar,value:"it's é"},{name:"d",type:TYPES.Decimal,value:1.5,options:{precision:10,scale:2}},{name:"b",type:TYPES.VarBinary,value:Buffer.from([0,255])},{name:"at",type:TYPES.DateTime2,value:new Date("2024-02-29T01:02:03.456Z"),options:{scale:3}},{name:"g",type:TYPES.UniqueIdentifier,value:g},{name:"m",type:TYPES.NVarChar,value:"ü".repeat(9000),options:{length:Infinity}},{name:"f",type:TYPES.Float,value:0.1},{name:"k",type:TYPES.Bit,value:true}])));
  const r=await run("SELECT id,v,d,b,at,g,len(m),f,k FROM t"); console.log(JSON.stringify(r));
  console.log(JSON.stringify(await run("SET @o = @i * 2",[{name:"i",type:TYPES.Int,value:21},{name:"o",type:TYPES.Int,out:true}])));
  await new Promise((ok,no)=>c.beginTransaction(e=>e?no(e):ok()));
  await run("INSERT INTO t (id) VALUES (2)");
  await new Promise((ok,no)=>c.rollbackTransaction(e=>e?no(e):ok()));
  await new Promise((ok,no)=>c.beginTransaction(e=>e?no(e):ok()));
  await run("INSERT INTO t (id) VALUES (3)");
  await new Promise((ok,no)=>c.commitTransaction(e=>e?no(e):ok()));
  console.log(JSON.stringify((await run("SELECT id FROM t ORDER BY id")).rows));
  try{ await run("INSERT INTO t (id) VALUES (3)"); }catch(e){console.log(e.number,e.class,e.state,e.message);}
  const n=await new Promise((ok,no)=>{const b=c.newBulkLoad("t",{keepNulls:true},(e,n)=>e?no(e):ok(n)); b.addColumn("id",TYPES.Int,{nullable:false}); b.addColumn("v",TYPES.NVarChar,{length:50,nullable:true}); b.addColumn("at",TYPES.DateTime2,{scale:3,nullable:true}); c.execBulkLoad(b,[[10,"ten",new Date("2024-01-01T00:00:00.5Z")],[11,null,null]]);});
  console.log("bulk",n, JSON.stringify((await run("SELECT id,v,at FROM t WHERE id>=10 ORDER BY id")).rows));
  const pr=new Request("SELECT @x + 1",(e)=>{}); pr.addParameter("x",TYPES.Int);
  await new Promise((ok,no)=>{pr.on("prepared",ok);pr.on("error",no);c.prepare(pr);});
  for(const x of [1,41]){await new Promise((ok,no)=>{pr.removeAllListeners("row");pr.on("row",cs=>console.log("prep",cs[0].value));pr.callback=(e)=>e?no(e):ok();c.execute(pr,{x});});}
  const t0=Date.now(); const q=new Request("WAITFOR DELAY '00:00:20'",(e)=>{console.log("cancel",e&&e.code,Date.now()-t0<5000); c.close(); process.exit(0);}); c.execSqlBatch(q); setTimeout(()=>c.cancel(),300);
 }catch(e){console.error("ERR",e);process.exit(1);}
});
