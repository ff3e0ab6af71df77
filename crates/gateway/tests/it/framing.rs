//! Hostile requests: whatever stands in a request line, a header or a chunk, the answer is one that
//! the contract allows, nobody's second reading of the bytes reaches a model, and a connection whose
//! framing is in doubt ends.

mod chunks;
mod head;
mod http2;
mod lengths;
mod methods;
mod paths;
mod smuggling;
mod trial;

use trial::Ground;

#[tokio::test]
async fn a_path_is_served_only_as_it_is_written_in_the_list_of_routes() {
    let ground = Ground::start().await;
    let tried = ground.run(paths::trials(&ground)).await;
    assert!(tried >= 500, "{tried} paths");
}

#[tokio::test]
async fn a_route_takes_its_own_method_and_no_other() {
    let ground = Ground::start().await;
    let tried = ground.run(methods::trials(&ground)).await;
    assert!(tried >= 400, "{tried} methods");
}

#[tokio::test]
async fn a_head_that_could_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    let ground = Ground::start().await;
    let tried = ground.run(head::trials(&ground)).await;
    assert!(tried >= 80, "{tried} heads");
}

#[tokio::test]
async fn a_body_has_one_length_or_none() {
    let ground = Ground::start().await;
    let mut trials = lengths::trials(&ground);
    trials.extend(chunks::trials(&ground));
    let tried = ground.run(trials).await;
    assert!(tried >= 80, "{tried} bodies");
}

#[tokio::test]
async fn a_request_hidden_in_another_is_never_served() {
    let ground = Ground::start().await;
    let tried = ground.run(smuggling::trials(&ground)).await;
    assert!(tried >= 30, "{tried} hidden requests");
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let ground = Ground::start().await;
    let one = ground.post("/v1/chat/completions");
    let other = b"PUT /v1/models HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut connection = ground.connect().await;
    connection.send(&[&one, other.as_slice(), &one].concat()).await;
    for status in [200, 405, 200] {
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.whole), (status, true), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_client_that_asks_for_100_continue_gets_it_before_its_body_is_read() {
    let ground = Ground::start().await;
    let request = String::from_utf8(ground.post("/v1/chat/completions")).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut connection = ground.connect().await;
    connection.send(format!("{head}\r\nexpect: 100-continue\r\n\r\n").as_bytes()).await;
    assert_eq!(connection.head().await.status, 100);
    connection.send(body.as_bytes()).await;
    assert_eq!(connection.answer().await.status, 200);
}

#[tokio::test]
async fn who_is_refused_from_the_head_alone_gets_no_100_continue() {
    let ground = Ground::start().await;
    for target in ["/v1/nothing", "/api/pull", "/v1/chat%2fcompletions"] {
        let request = String::from_utf8(ground.post(target)).unwrap();
        let (head, _) = request.split_once("\r\n\r\n").unwrap();
        let mut connection = ground.connect().await;
        connection.send(format!("{head}\r\nexpect: 100-continue\r\n\r\n").as_bytes()).await;
        let answer = connection.answer().await;
        assert!(matches!(answer.status, 400 | 403 | 404), "{target}: {}", answer.status);
    }
}

#[tokio::test]
async fn over_http2_the_same_paths_methods_and_hosts_are_refused() {
    http2::refuses().await;
}
