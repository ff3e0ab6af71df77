//! Answers on their way down: documents and streams, cut into pieces anywhere.

use fluxgate_testkit::{Plan, TestStack};

use super::{SEED, plain_body, put_through, space, string, value};
use crate::scripted_upstream::{
    JSON, MODEL, NDJSON, SSE, ScriptedUpstream, Seen, Speaks, Step, document, in_pieces,
};

const CASES: u64 = 10_000;

async fn behind(upstream: &ScriptedUpstream) -> TestStack {
    Plan::default().upstreams(&[upstream.url()]).start().await
}

fn case_number(seen: &Seen) -> u64 {
    seen.header("x-case").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_back_unchanged_but_for_the_withheld_usage_frame() {
    // Both sides make the case from its number.
    let upstream = ScriptedUpstream::start(Speaks::Ollama, |seen| {
        let case = Case::make(case_number(seen));
        vec![Step::Send(case.on_the_wire())]
    })
    .await;
    let stack = behind(&upstream).await;
    put_through(
        &stack,
        CASES,
        Case::make,
        |case| {
            (
                case.kind.path().to_owned(),
                plain_body(case.kind.streams(), case.asks_usage).into_bytes(),
            )
        },
        |case, answer| {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.whole);
            let (came, sent) = (answer.text(), String::from_utf8_lossy(&case.sent));
            assert_eq!(
                came,
                String::from_utf8(case.expected).unwrap(),
                "{:?}\n{sent:?}",
                case.kind
            );
        },
    )
    .await;
}

/// Short streams in every kind of line end, each cut in two at every byte. What stands between the
/// bars is withheld.
const SPLIT_STREAMS: [&str; 4] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"h\u{20ac}\"}}]}\n\n|data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n|data: [DONE]\n\n",
    ": hello\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n\r\n|data: {\"choices\": [ ] ,\"usage\":{\"prompt_tokens\":1}}\r\n\r\n|data: [DONE]\r\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\r\r|data: {\"usage\":{\"completion_tokens\":0},\"choices\":[]}\r\r|data: [DONE]\r\r",
    "event: x\ndata: {\"choices\":[{\"text\":\"\\\"choices\\\":[]\"}],\n\ndata: 1}\r\n\n|data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\r\n|data: [DONE]\n",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_in_two_anywhere_loses_the_usage_frame_alone() {
    let cuts: Vec<(&str, usize)> = SPLIT_STREAMS
        .into_iter()
        .flat_map(|stream| (0..stream.len() - 2).map(move |at| (stream, at)))
        .collect();
    let count = cuts.len() as u64;
    let upstream = ScriptedUpstream::start(Speaks::OpenAi, move |seen| {
        let (stream, at) = cuts[case_number(seen) as usize];
        let whole = stream.replace('|', "");
        let (one, other) = whole.as_bytes().split_at(at);
        vec![Step::Send(in_pieces(SSE, [one, other]))]
    })
    .await;
    let stack = behind(&upstream).await;
    put_through(
        &stack,
        count,
        |number| {
            let mut number = number as usize;
            let stream = SPLIT_STREAMS.into_iter().find(|stream| {
                let mine = number < stream.len() - 2;
                number -= if mine { 0 } else { stream.len() - 2 };
                mine
            });
            let mut parts = stream.unwrap().split('|');
            let (before, _, behind) = (parts.next().unwrap(), parts.next(), parts.next().unwrap());
            format!("{before}{behind}")
        },
        |_| ("/v1/chat/completions".to_owned(), plain_body(true, false).into_bytes()),
        |expected, answer| assert_eq!(answer.text(), expected),
    )
    .await;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    ChatStream,
    CompletionStream,
    OllamaStream,
    Document,
    OllamaDocument,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::ChatStream | Self::Document => "/v1/chat/completions",
            Self::CompletionStream => "/v1/completions",
            Self::OllamaStream | Self::OllamaDocument => "/api/chat",
        }
    }

    fn streams(self) -> bool {
        !matches!(self, Self::Document | Self::OllamaDocument)
    }
}

/// What a model server sends, and what must come of it.
struct Case {
    kind: Kind,
    asks_usage: bool,
    sent: Vec<u8>,
    expected: Vec<u8>,
    /// Lengths of the pieces, over and over.
    cuts: Vec<usize>,
    chunked: bool,
}

impl Case {
    fn make(number: u64) -> Self {
        let rng = &mut fastrand::Rng::with_seed(SEED ^ (number << 8));
        let kind = *rng
            .choice(&[
                Kind::ChatStream,
                Kind::ChatStream,
                Kind::CompletionStream,
                Kind::OllamaStream,
                Kind::Document,
                Kind::OllamaDocument,
            ])
            .unwrap();
        let asks_usage = rng.bool();
        let mut case = Self {
            kind,
            asks_usage,
            sent: Vec::new(),
            expected: Vec::new(),
            cuts: (0..rng.usize(1..6)).map(|_| rng.usize(1..40)).collect(),
            chunked: rng.bool(),
        };
        match kind {
            Kind::ChatStream | Kind::CompletionStream => case.sse(rng),
            Kind::OllamaStream => case.ndjson(rng),
            Kind::Document | Kind::OllamaDocument => {
                let body = format!("{}{}", space(rng), value(rng, 6));
                case.pass(body.as_bytes());
            }
        }
        case
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        self.expected.extend_from_slice(bytes);
    }

    fn sse(&mut self, rng: &mut fastrand::Rng) {
        for _ in 0..rng.usize(0..6) {
            let frame = match rng.u8(0..6) {
                0 => vec![format!(": {}", string(rng).replace(['\r', '\n'], ""))],
                1 => vec![
                    format!("event: x{}", rng.u8(..)),
                    "id: 7".to_owned(),
                    "data: {}".to_owned(),
                ],
                2 => vec![
                    "data: {\"choices\":[".to_owned(),
                    "data:]}".to_owned(),
                    "retry: 5".to_owned(),
                ],
                3 => vec![format!("data: {{\"choices\":[],\"x_filter\":{}}}", one_line(rng))],
                _ => vec![text_frame(self.kind, rng)],
            };
            let frame = ended(rng, &frame);
            self.pass(frame.as_bytes());
        }
        if rng.u8(0..4) > 0 {
            let usage = format!(
                "data: {{\"x\":{},\"choices\":{}[{}],\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{},\"x\":{}}}}}",
                string(rng),
                *rng.choice(&["", " ", "\t"]).unwrap(),
                *rng.choice(&["", "  "]).unwrap(),
                rng.u32(..),
                rng.u32(..),
                string(rng),
            );
            let frame = ended(rng, &[usage]);
            self.sent.extend_from_slice(frame.as_bytes());
            if self.asks_usage {
                self.expected.extend_from_slice(frame.as_bytes());
            }
        }
        let mut last = vec!["data: [DONE]".to_owned()];
        if rng.u8(0..4) == 0 {
            last.insert(0, ": the end".to_owned());
        }
        let end = match rng.u8(0..4) {
            // Some servers forget the last blank line, or its line end as well.
            0 => last.join("\n"),
            1 => last.join("\n") + "\n",
            _ => ended(rng, &last),
        };
        self.pass(end.as_bytes());
    }

    fn ndjson(&mut self, rng: &mut fastrand::Rng) {
        for _ in 0..rng.usize(0..6) {
            let line = format!(
                "{{\"model\":\"{MODEL}\",\"x\":{},\"message\":{{\"role\":\"assistant\",\"content\":{}}},\"done\":false}}{}",
                one_line(rng),
                string(rng),
                if rng.bool() { "\n" } else { "\r\n" },
            );
            self.pass(line.as_bytes());
        }
        let last = format!(
            "{{\"message\":{{\"content\":\"\"}},\"done\":true,\"x\":{},\"prompt_eval_count\":{},\"eval_count\":{}}}",
            one_line(rng),
            rng.u32(..),
            rng.u32(..)
        );
        self.pass(last.as_bytes());
        self.pass(if rng.bool() { b"\n" } else { b"" });
    }

    fn on_the_wire(&self) -> Vec<u8> {
        let headers = match self.kind {
            Kind::ChatStream | Kind::CompletionStream => SSE,
            Kind::OllamaStream => NDJSON,
            Kind::Document | Kind::OllamaDocument if self.chunked => JSON,
            Kind::Document | Kind::OllamaDocument => return document(JSON, &self.sent),
        };
        let (mut pieces, mut rest) = (Vec::new(), self.sent.as_slice());
        for length in self.cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*length).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        in_pieces(headers, pieces)
    }
}

/// A value without line breaks in it: one would end the frame.
fn one_line(rng: &mut fastrand::Rng) -> String {
    value(rng, 3).replace(['\r', '\n'], " ")
}

fn text_frame(kind: Kind, rng: &mut fastrand::Rng) -> String {
    let (text, unknown) = (string(rng), one_line(rng));
    let choice = match kind {
        Kind::CompletionStream => format!("{{\"text\":{text},\"index\":0,\"finish_reason\":null}}"),
        _ => format!("{{\"index\":0,\"delta\":{{\"content\":{text}}}}}"),
    };
    let usage = *rng.choice(&["", ",\"usage\":null", ",\"usage\":{\"prompt_tokens\":3}"]).unwrap();
    format!(
        "data:{}{{\"choices\":[{choice}]{usage},\"x\":{unknown}}}",
        *rng.choice(&["", " "]).unwrap()
    )
}

/// The lines of a frame with ends of one of the three kinds, and the blank line.
fn ended(rng: &mut fastrand::Rng, lines: &[String]) -> String {
    let end = *rng.choice(&["\n", "\n", "\r\n", "\r"]).unwrap();
    let mut frame: String = lines.iter().flat_map(|line| [line.as_str(), end]).collect();
    frame.push_str(end);
    frame
}
