//! The end of a replica, a reload while it runs, and what it tells of itself.

mod drain;
mod health;
mod reload;

use fluxgate_testkit::TestStack;
use fluxgate_testkit::wire::Connection;

/// Two seconds of frames.
const SLOW: &str = "demo!pace=50000,tokens=40";
/// Half a minute of them: longer than any test waits.
const ENDLESS: &str = "demo!pace=50000,tokens=600";

/// The body of a request for a stream.
fn streaming(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"hello"}}]}}"#
    )
}

/// A stream of which the first piece has come.
async fn begin(stack: &TestStack, route: &str, model: &str) -> Connection {
    let mut connection = Connection::open(stack.clear).await;
    connection.send(&stack.posting(route, &streaming(model))).await;
    let head = connection.head().await;
    assert_eq!(head.status, 200);
    assert!(connection.chunk().await.is_some_and(|chunk| !chunk.is_empty()));
    connection
}

/// The rest of a stream, and whether it came to the end of its framing.
async fn rest(connection: &mut Connection) -> (String, bool) {
    let mut text = Vec::new();
    while let Some(chunk) = connection.chunk().await {
        if chunk.is_empty() {
            return (String::from_utf8(text).unwrap(), true);
        }
        text.extend(chunk);
    }
    (String::from_utf8(text).unwrap(), false)
}
