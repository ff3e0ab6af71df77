//! What was created under an `Idempotency-Key`: a repeat within a day makes nothing.

use chrono::TimeDelta;

/// How long a repeated create is recognised.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// Claims a caller's idempotency key for a new object, in the transaction that makes it: the id of
/// the object that an earlier request made under it, or `None` where the key is free. Without a key
/// there is nothing to claim.
macro_rules! claim {
    ($tx:ident, $caller:expr, $route:expr, $key:expr, $object:expr, $now:expr) => {{
        let earlier: Option<(String,)> = match $key {
            None => None,
            Some(key) => {
                $tx.sql("DELETE FROM idempotency WHERE created_at < $1")
                    .bind(StoredTime($now - $crate::store::idempotency::KEPT))
                    .execute($tx.connection())
                    .await?;
                // It waits here for another transaction that is about to do the same.
                let claimed = $tx
                    .sql(
                        "INSERT INTO idempotency (caller, route, key, object_id, created_at) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                    )
                    .bind($caller.0)
                    .bind($route.to_owned())
                    .bind(key.to_owned())
                    .bind($object.to_string())
                    .bind(StoredTime($now))
                    .execute($tx.connection())
                    .await?;
                if claimed.rows_affected() == 1 {
                    None
                } else {
                    let earlier = $tx.rows(
                        "SELECT object_id FROM idempotency \
                         WHERE caller = $1 AND route = $2 AND key = $3",
                    );
                    let earlier = earlier.bind($caller.0);
                    let earlier = earlier.bind($route.to_owned()).bind(key.to_owned());
                    Some(earlier.fetch_one($tx.connection()).await?)
                }
            }
        };
        earlier.map(|(id,)| id)
    }};
}
pub(super) use claim;
