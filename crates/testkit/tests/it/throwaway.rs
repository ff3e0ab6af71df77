//! The throwaway servers, asked with the first bytes of their own protocols.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use fluxgate_testkit::throwaway::{Postgres, Redis};

/// A living server answers within milliseconds, on a busy machine within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who says nothing for so long is taken for frozen.
const SILENCE: Duration = Duration::from_millis(300);

/// Sends a question and gives the first byte of the answer.
fn ask(port: u16, question: &[u8], limit: Duration) -> io::Result<u8> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(limit))?;
    connection.write_all(question)?;
    let mut answer = [0];
    connection.read_exact(&mut answer)?;
    Ok(answer[0])
}

fn redis_answers(redis: &Redis, limit: Duration) -> bool {
    ask(redis.port(), b"PING\r\n", limit).is_ok_and(|first| first == b'+')
}

/// SSLRequest; a server without TLS answers with one N, and so one of its processes is alive.
fn postgres_answers(postgres: &Postgres, limit: Duration) -> bool {
    ask(postgres.port(), &[0, 0, 0, 8, 4, 210, 22, 47], limit).is_ok_and(|first| first == b'N')
}

fn query(url: &str, sql: &str) -> String {
    let output = Command::new("psql").args([url, "-Atqc", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_redis_can_be_frozen_killed_and_started_again_on_its_port() {
    let mut redis = Redis::start();
    assert!(redis_answers(&redis, PATIENCE));
    redis.freeze();
    assert!(!redis_answers(&redis, SILENCE));
    redis.thaw();
    assert!(redis_answers(&redis, PATIENCE));
    redis.kill();
    assert!(!redis_answers(&redis, SILENCE));
    let port = redis.port();
    redis.restart();
    assert_eq!(redis.port(), port);
    assert!(redis_answers(&redis, PATIENCE));
    drop(redis);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn a_postgres_can_be_frozen_killed_and_keeps_its_data() {
    let mut postgres = Postgres::start();
    query(&postgres.url(), "create table kept (n int); insert into kept values (7)");
    postgres.freeze();
    assert!(!postgres_answers(&postgres, SILENCE));
    postgres.thaw();
    assert!(postgres_answers(&postgres, PATIENCE));
    postgres.kill();
    assert!(!postgres_answers(&postgres, SILENCE));
    postgres.restart();
    assert_eq!(query(&postgres.url(), "select n from kept"), "7");
}

#[test]
fn databases_of_the_shared_postgres_are_apart() {
    let (one, other) = (Postgres::shared().create_database(), Postgres::shared().create_database());
    assert_ne!(one, other);
    query(&one, "create table mine (n int)");
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!((query(&one, tables), query(&other, tables)), ("1".to_owned(), "0".to_owned()));
}
