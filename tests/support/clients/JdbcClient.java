import com.microsoft.sqlserver.jdbc.*;
import java.sql.*;
import javax.sql.rowset.*;
/** What mssql-jdbc makes of the server: a line for each thing that it did. */
public class JdbcClient {
  static String hex(byte[] b){StringBuilder s=new StringBuilder();for(byte x:b)s.append(String.format("%02x",x));return s.toString();}
  public static void main(String[] a) throws Exception {
    String url="jdbc:sqlserver://127.0.0.1:"+System.getenv("MS_PORT")+";databaseName="+System.getenv("MS_DB")+";encrypt="+(System.getenv("MS_TLS")!=null?"true":"false")+";trustServerCertificate=true;loginTimeout=10";
    try(Connection c=DriverManager.getConnection(url,System.getenv("MS_USER"),System.getenv("MS_PASSWORD"))){
      System.out.println("version "+c.getMetaData().getDatabaseProductVersion());
      try(Statement s=c.createStatement()){
        s.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(50), d decimal(10,2), b varbinary(9), at datetime2(7), o datetimeoffset(3), g uniqueidentifier, m nvarchar(max), f float, k bit, y money, x xml, dd date, tt time(3))");
        s.execute("CREATE TABLE u (id int PRIMARY KEY, v nvarchar(50), d decimal(10,2), b varbinary(9), at datetime2(7), o datetimeoffset(3), g uniqueidentifier, m nvarchar(max), f float, k bit, y money, x xml, dd date, tt time(3))");
      }
      try(PreparedStatement p=c.prepareStatement("INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)")){
        for(int i=1;i<=3;i++){ p.setInt(1,i); p.setString(2,"it's é"+i); p.setBigDecimal(3,new java.math.BigDecimal("1.50")); p.setBytes(4,new byte[]{0,(byte)255}); p.setTimestamp(5,Timestamp.valueOf("2024-02-29 01:02:03.1234567"));
          ((SQLServerPreparedStatement)p).setDateTimeOffset(6, microsoft.sql.DateTimeOffset.valueOf(Timestamp.valueOf("2024-02-29 01:02:03.123"),330)); p.setString(7,"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"); p.setString(8,"ü".repeat(9000)); p.setDouble(9,0.1); p.setBoolean(10,true); p.setBigDecimal(11,new java.math.BigDecimal("-1.2345")); p.setString(12,"<a/>"); p.setDate(13,Date.valueOf("0001-01-01")); p.setTime(14,Time.valueOf("01:02:03"));
          p.executeUpdate(); }
      }
      try(Statement s=c.createStatement(); ResultSet r=s.executeQuery("SELECT * FROM t ORDER BY id")){
        ResultSetMetaData md=r.getMetaData();
        while(r.next()){ StringBuilder line=new StringBuilder(); for(int i=1;i<=md.getColumnCount();i++){Object o=r.getObject(i); String t=o instanceof byte[]?hex((byte[])o):String.valueOf(o); line.append(md.getColumnTypeName(i)).append('=').append(t.length()>60?t.length()+" chars":t).append('|');} System.out.println(line); } }
      try(SQLServerBulkCopy bc=new SQLServerBulkCopy(c); Statement s=c.createStatement(); ResultSet r=s.executeQuery("SELECT * FROM t")){ bc.setDestinationTableName("u"); bc.writeToServer(r); }
      try(Statement s=c.createStatement(); ResultSet r=s.executeQuery("SELECT COUNT(*), MIN(at), MAX(v) FROM u")){ r.next(); System.out.println("bulk "+r.getInt(1)+" "+r.getString(2)+" "+r.getString(3)); }
      c.setAutoCommit(false);
      try(Statement s=c.createStatement()){ System.out.println("upd "+s.executeUpdate("UPDATE t SET v=N'x' WHERE id<3")); c.rollback(); System.out.println("del "+s.executeUpdate("DELETE FROM t WHERE id=3")); c.commit(); }
      c.setAutoCommit(true);
      try(Statement s=c.createStatement(); ResultSet r=s.executeQuery("SELECT id, v FROM t ORDER BY id")){ while(r.next()) System.out.println(r.getInt(1)+" "+r.getString(2)); }
      try(Statement s=c.createStatement()){ s.executeUpdate("INSERT INTO t (id) VALUES (1)"); } catch(SQLServerException e){ System.out.println("error "+e.getErrorCode()+" "+e.getSQLState()+" "+e.getSQLServerError().getErrorSeverity()+" "+e.getSQLServerError().getErrorState()); }
      try(CallableStatement s=c.prepareCall("EXEC sp_executesql N'SET @o = @i * 2', N'@i int, @o int OUTPUT', ?, ?")){ s.setInt(1,21); s.registerOutParameter(2,Types.INTEGER); s.execute(); System.out.println("out "+s.getInt(2)); }
      try(Statement s=c.createStatement()){ s.setQueryTimeout(1); s.execute("WAITFOR DELAY '00:00:20'"); } catch(SQLException e){ System.out.println("cancel "+e.getMessage()); }
      try(Statement s=c.createStatement(); ResultSet r=s.executeQuery("SELECT 7")){ r.next(); System.out.println("alive "+r.getInt(1)); }
    }
  }
}
