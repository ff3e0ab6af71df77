//! Secrets that a test plants, and the search for them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Shorter pieces are found by chance.
const BYTES_MIN: usize = 8;
const SHOWN_CHARS: usize = 600;

/// What must be found nowhere, by what it is.
#[derive(Debug, Default)]
pub struct Planted(Vec<(&'static str, String)>);

impl Planted {
    /// Plants one more, and gives it back.
    pub fn add(&mut self, what: &'static str, secret: &str) -> String {
        assert!(secret.len() >= BYTES_MIN, "{what}");
        self.0.push((what, secret.to_owned()));
        secret.to_owned()
    }

    /// A key: its id is no secret.
    pub fn add_key(&mut self, what: &'static str, key: &str) -> String {
        self.add(what, &key[19..]);
        key.to_owned()
    }

    /// An access token, of which each part tells something.
    pub fn add_token(&mut self, token: &str) -> String {
        for (what, part) in ["claims", "signature"].into_iter().zip(token.split('.').skip(1)) {
            self.add(what, part);
        }
        token.to_owned()
    }

    /// A link: what stands behind its `#`.
    pub fn add_link(&mut self, what: &'static str, link: &str) -> String {
        self.add(what, link.trim_end().split_once('#').unwrap().1)
    }

    /// What of it stands in a text, with the line in which it does.
    pub fn find(&self, place: &str, text: &str) -> Vec<String> {
        let found = self.0.iter().filter_map(|(what, secret)| {
            let at = text.find(secret.as_str())?;
            let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let shown: String = text[line..].chars().take(SHOWN_CHARS).collect();
            Some(format!("{what} stands in {place}: {shown}"))
        });
        found.collect()
    }

    /// The same, in the forms that bytes have in a dump as well.
    pub fn find_in_any_form(&self, place: &str, text: &str) -> Vec<String> {
        let mut found = self.find(place, text);
        for (what, secret) in &self.0 {
            for mut form in
                [hex::encode(secret), STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]
            {
                // The last characters of base64 depend on what follows.
                form.truncate(form.len() - 4);
                if text.contains(&form) {
                    found.push(format!("{what} stands in {place}, encoded"));
                }
            }
        }
        found
    }
}

/// Every row of every table, as text.
pub async fn dump(url: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables = "SELECT relname::text FROM pg_class \
                  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    let tables: Vec<(String,)> = sqlx::query_as(tables).fetch_all(&mut connection).await.unwrap();
    assert!(tables.len() >= 10, "{tables:?}");
    let mut dump = String::new();
    for (table,) in tables {
        let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows: Vec<(String,)> = sqlx::query_as(rows).fetch_all(&mut connection).await.unwrap();
        rows.iter().for_each(|(row,)| dump.push_str(&format!("{table}: {row}\n")));
    }
    dump
}
