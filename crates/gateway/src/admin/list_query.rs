//! `?limit=&cursor=` of our own lists, and the page that is made of what they ask for.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use fluxgate_core::Reason;
use fluxgate_core::admin_api::Page;
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::store::Cursor;

const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 500;

/// See the module.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Items on a page: 50, where it isn't given.
    #[param(minimum = 1, maximum = 500, nullable = false)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f]+-[0-9A-Za-z-]{12,36}$", nullable = false)]
    pub cursor: Option<String>,
}

/// What is asked of the store: one more than is shown, which tells whether there is another page.
#[derive(Clone, Copy, Debug)]
pub struct Asked<Id> {
    pub after: Option<Cursor<Id>>,
    shown: u32,
}

impl ListQuery {
    /// # Errors
    /// 400 for a query that can't be answered.
    pub fn read<Id: FromStr>(
        query: Result<Query<Self>, QueryRejection>,
    ) -> Result<Asked<Id>, Problem> {
        let expected = "`limit`, a number, and `cursor`";
        let Query(query) = query.map_err(|_| Problem::query(expected))?;
        query.asked()
    }

    /// # Errors
    /// 400 for a query that can't be answered.
    pub fn asked<Id: FromStr>(self) -> Result<Asked<Id>, Problem> {
        let invalid = |text: String| Problem::new(Reason::InvalidRequest, text);
        let shown = self.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&shown) {
            return Err(invalid(format!("`limit`: expected 1 to {PAGE_MAX}.")));
        }
        let after = self.cursor.map(|cursor| cursor.parse()).transpose();
        Ok(Asked { after: after.map_err(|error| invalid(format!("`cursor`: {error}.")))?, shown })
    }
}

impl<Id: Display> Asked<Id> {
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.shown + 1
    }

    /// The page of what the store gave.
    pub fn page<R, T>(
        &self,
        mut records: Vec<R>,
        cursor: impl Fn(&R) -> Cursor<Id>,
        shape: impl Fn(R) -> T,
    ) -> Page<T> {
        let more = records.len() > self.shown as usize;
        records.truncate(self.shown as usize);
        let next_cursor = records.last().filter(|_| more).map(|last| cursor(last).to_string());
        Page { items: records.into_iter().map(shape).collect(), next_cursor }
    }
}
