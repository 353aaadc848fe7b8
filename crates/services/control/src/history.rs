//! The event log and the audit log: reading pages, and keeping both bounded.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::event::{Event, EventView};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::operation::OperationStatus;
use univrs_ports::store::{Consistency, Op, Page, Prefix, StateStore, Txn};

use crate::audit::{AuditEntry, AuditView};
use crate::error::Error;
use crate::handle::Control;
use crate::record::{Record, delete, key};
use crate::state::State;

/// How many entries of each log an organisation keeps.
pub(crate) const KEPT_ENTRIES: usize = 5000;

/// How many ended operations an organisation keeps.
const KEPT_OPERATIONS: usize = 500;

/// A page of a log: its entries and, if there are more, where the next page starts.
pub struct LogPage<T> {
    /// The entries, oldest first.
    pub items: Vec<T>,
    /// Where the next page starts.
    pub next: Option<String>,
    /// The revision of the view.
    pub revision: u64,
}

impl Control {
    /// Events of the caller's organisation and of the cluster, oldest first, from behind `cursor`.
    ///
    /// # Errors
    /// When the caller may not read them or the cursor is malformed.
    pub async fn list_events(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage<EventView>, Error> {
        self.allow(caller, Action::EventRead, "event")?;
        let mut logs = vec![keys::of_org(&caller.org, "event")];
        if self.allow_for(None, caller, Action::EventRead, "event").is_ok() {
            logs.push(keys::CLUSTER_EVENTS.to_owned());
        }
        let page = self.log_page::<Event>(&logs, cursor, limit).await?;
        let items = page
            .items
            .into_iter()
            .map(|record| EventView { revision: record.revision.0, event: Event::clone(&record) })
            .collect();
        Ok(LogPage { items, next: page.next, revision: page.revision })
    }

    /// Audit entries of the caller's organisation, and of the cluster for who may read those, oldest first, from
    /// behind `cursor`.
    ///
    /// # Errors
    /// When the caller may not read them or the cursor is malformed.
    pub async fn list_audit(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage<AuditView>, Error> {
        self.allow(caller, Action::AuditRead, "audit")?;
        let mut logs = vec![keys::of_org(&caller.org, "audit")];
        if self.allow_for(None, caller, Action::AuditRead, "audit").is_ok() {
            logs.push(keys::CLUSTER_AUDIT.to_owned());
        }
        let page = self.log_page::<AuditEntry>(&logs, cursor, limit).await?;
        let items = page
            .items
            .into_iter()
            .map(|record| AuditView { revision: record.revision.0, entry: AuditEntry::clone(&record) })
            .collect();
        Ok(LogPage { items, next: page.next, revision: page.revision })
    }

    /// One page of several logs as one, by the places of their entries.
    async fn log_page<T: DeserializeOwned>(
        &self,
        logs: &[String],
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage<Record<T>>, Error> {
        let mut found = Vec::new();
        let mut more = false;
        let mut revision = u64::MAX;
        for log in logs {
            let after = cursor.map(|cursor| key(format!("{log}{cursor}"))).transpose()?;
            let page = Page { after, limit };
            let out = self.store.range(&Prefix::new(log.as_str()), page, Consistency::LOCAL).await?;
            more |= out.next.is_some();
            revision = revision.min(out.revision.0);
            for item in &out.items {
                let place = item.key.as_str().strip_prefix(log.as_str()).unwrap_or_default().to_owned();
                found.push((place, Record::decode(item.key.as_str(), &item.value)?));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (kept, cut) = cut(&found, limit);
        found.truncate(kept);
        let next = if more || cut { found.last().map(|(place, _)| place.clone()) } else { None };
        Ok(LogPage { items: found.into_iter().map(|(_, record)| record).collect(), next, revision })
    }
}

/// How many of the entries fit a page, and whether that leaves some out. Entries of different logs at the same place
/// stay together: the next page begins behind that place.
fn cut<T>(found: &[(String, T)], limit: usize) -> (usize, bool) {
    let Some((last, _)) = limit.checked_sub(1).and_then(|last| found.get(last)) else {
        return (found.len(), false);
    };
    let together = found[limit..].iter().take_while(|(place, _)| place == last).count();
    (limit + together, limit + together < found.len())
}

/// Deletes the oldest entries of an organisation's logs and remembered requests beyond what is kept; of the
/// cluster's logs without an organisation. Called now and then.
///
/// # Errors
/// When the store fails.
pub(crate) async fn trim(store: &Arc<dyn StateStore>, org: Option<&Name>) -> Result<usize, Error> {
    let logs = match org {
        Some(org) => ["event", "audit", "request"].map(|kind| keys::of_org(org, kind)).to_vec(),
        None => vec![keys::CLUSTER_EVENTS.to_owned(), keys::CLUSTER_AUDIT.to_owned()],
    };
    let mut trimmed = 0;
    for log in logs {
        trimmed += trim_to(store, &Prefix::new(log), KEPT_ENTRIES).await?;
    }
    Ok(trimmed)
}

/// Deletes what was written first below `prefix`, until `kept` are left. Not by key: those of requests are anyone's.
async fn trim_to(store: &Arc<dyn StateStore>, prefix: &Prefix, kept: usize) -> Result<usize, Error> {
    let mut items = store.range(prefix, Page::all(), Consistency::LOCAL).await?.items;
    let excess = items.len().saturating_sub(kept);
    items.sort_by_key(|item| item.value.mod_revision);
    for chunk in items[..excess].chunks(1000) {
        let ops = chunk.iter().map(|item| Op::Delete(item.key.clone())).collect();
        store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
    }
    Ok(excess)
}

/// Removes the oldest ended operations of an organisation beyond what is kept. Called now and then.
///
/// # Errors
/// When the store fails.
pub(crate) async fn trim_operations(
    store: &Arc<dyn StateStore>,
    state: &State,
    org: &Name,
) -> Result<(), Error> {
    let own = state.operations.values().filter(|record| record.org == *org);
    let mut ended: Vec<_> = own.filter(|record| record.status != OperationStatus::Running).collect();
    ended.sort_by_key(|record| std::cmp::Reverse(record.updated_at));
    let old = ended.iter().skip(KEPT_OPERATIONS).take(1000);
    let ops = old.map(|record| delete(keys::operation(org, &record.id))).collect::<Result<Vec<_>, _>>()?;
    if !ops.is_empty() {
        store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use univrs_ports::store::{Consistency, Key, MemoryStore, Page, Prefix, StateStore, Txn};

    use super::{cut, trim_to};

    #[tokio::test]
    async fn the_oldest_go_whatever_their_keys() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
        for key in ["r/d", "r/b", "r/c", "r/a"] {
            store.txn(Txn::put(Key::new(key).unwrap(), "x")).await.unwrap();
        }
        assert_eq!(trim_to(&store, &Prefix::new("r/"), 2).await.unwrap(), 2);
        let left = store.range(&Prefix::new("r/"), Page::all(), Consistency::LOCAL).await.unwrap();
        let left: Vec<&str> = left.items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(left, ["r/a", "r/c"]);
    }

    #[test]
    fn entries_at_one_place_stay_on_one_page() {
        let found: Vec<(String, ())> = ["a", "b", "b", "b", "c"].map(|place| (place.to_owned(), ())).to_vec();
        for (limit, kept, left) in
            [(1, 1, true), (2, 4, true), (3, 4, true), (4, 4, true), (5, 5, false), (9, 5, false)]
        {
            assert_eq!(cut(&found, limit), (kept, left), "{limit}");
        }
    }
}
