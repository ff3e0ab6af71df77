//! The program under test, what was planted, and what it told all the same.

use std::net::SocketAddr;

use fluxgate_testkit::wire::Answer;
use serde_json::Value;

use super::planted::Planted;
use super::program::Program;
use crate::sessions::people;

/// See the module.
pub struct Trial {
    pub program: Program,
    pub planted: Planted,
    pub admin_token: String,
    /// Errors of ours that hold what they shouldn't.
    pub told: Vec<String>,
}

impl Trial {
    pub async fn send(
        &mut self,
        to: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let answer = people::send(to, method, path, headers, body).await;
        if answer.status >= 400 {
            let heads = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
            let text = heads.collect::<String>() + &answer.text();
            let asked = format!("{method} {path} {}", String::from_utf8_lossy(body));
            let asked: String = asked.chars().take(300).collect();
            self.told.extend(self.planted.find(&format!("the answer to {asked}"), &text));
        }
        answer
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        let (to, headers) = (self.program.clear, [("content-type", "application/json")]);
        self.send(to, "POST", path, &headers, body.to_string().as_bytes()).await
    }

    pub async fn operator(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {}", self.admin_token);
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.send(self.program.admin, method, path, &headers, body.as_bytes()).await
    }

    /// Tokens of an answer that signs in.
    pub fn plant_tokens(&mut self, answer: &Answer) -> (String, String) {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        let tokens = answer.json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let refresh = self.planted.add("a refresh token", &token("refresh_token"));
        (self.planted.add_token(&token("access_token")), refresh)
    }
}
