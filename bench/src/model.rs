//! The models that the mock server lists. A stream's name is its schedule:
//! `bench-stream-<chunks>-<interval in µs>`; an interval of 0 is as fast as the reader takes it.

/// Answers at once with 1 KB of JSON.
pub const JSON: &str = "bench-json-1k";
/// Ends after 10 chunks, so that many streams begin in a short time.
pub const SHORT: &str = "bench-stream-10-20000";
/// As fast as back-pressure allows.
pub const BUSY: &str = "bench-stream-1000000000-0";
/// A chunk each millisecond.
pub const FAST: &str = "bench-stream-1000000000-1000";
/// A chunk each 20 ms: 50 tokens a second, what a good model does.
pub const STEADY: &str = "bench-stream-1000000000-20000";
/// A chunk each second, for streams that are merely open.
pub const SLOW: &str = "bench-stream-1000000000-1000000";

/// All of them: a gateway routes what is listed.
pub const ALL: [&str; 6] = [JSON, SHORT, BUSY, FAST, STEADY, SLOW];
