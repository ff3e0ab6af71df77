//! Redis without us in between: to make what only time would, and to look at what is there.

use redis::{Cmd, FromRedisValue, cmd};

pub struct Raw(redis::aio::MultiplexedConnection);

impl Raw {
    pub async fn open(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut line = cmd(command[0]);
        line.arg(&command[1..]);
        self.run(&line).await
    }

    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        command.query_async(&mut self.0.clone()).await.unwrap()
    }

    pub async fn now_ms(&self) -> u64 {
        let (seconds, micros): (u64, u64) = self.ask(&["TIME"]).await;
        seconds * 1_000 + micros / 1_000
    }
}
