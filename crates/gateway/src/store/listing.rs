//! A page of a list that is being read. A row that can't be read is told and left out: it doesn't
//! take the others away, nor the pages after it.

use std::fmt::Display;

use tracing::warn;

use super::StoreError;
use super::time::StoredTime;

/// See the module. `Id` is a row's, as the database has it.
#[derive(Debug)]
pub struct Listing<Record, Id> {
    table: &'static str,
    after: Option<(StoredTime, Id)>,
    records: Vec<Record>,
    /// Of the records that were asked for.
    missing: u32,
}

impl<Record, Id: Clone + Display> Listing<Record, Id> {
    pub const fn new(table: &'static str, after: Option<(StoredTime, Id)>, limit: u32) -> Self {
        Self { table, after, records: Vec::new(), missing: limit }
    }

    /// How many rows are to be read next, if any.
    pub fn missing(&self) -> Option<i64> {
        (self.missing > 0).then_some(i64::from(self.missing))
    }

    /// The time and the id of the row behind which they begin.
    pub fn after(&self) -> (Option<StoredTime>, Option<Id>) {
        self.after.clone().unzip()
    }

    /// Takes the rows that were read; `place` gives a row's time and id.
    pub fn take<Row>(&mut self, rows: Vec<Row>, place: impl Fn(&Row) -> (StoredTime, Id))
    where
        Record: TryFrom<Row, Error = StoreError>,
    {
        // Fewer than were asked for: there are no more.
        let is_last = rows.len() < self.missing as usize;
        for row in rows {
            let (at, id) = place(&row);
            self.after = Some((at, id.clone()));
            match Record::try_from(row) {
                Ok(record) => {
                    self.records.push(record);
                    self.missing = self.missing.saturating_sub(1);
                }
                Err(error) => {
                    warn!(%error, table = self.table, row.id = %id, "a row is left out of a list");
                }
            }
        }
        if is_last {
            self.missing = 0;
        }
    }

    pub fn records(self) -> Vec<Record> {
        self.records
    }
}
