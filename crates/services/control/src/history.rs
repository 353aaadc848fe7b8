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

use crate::error::Error;
use crate::handle::{AuditEntry, Control};
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
    /// Events of the caller's organisation, oldest first, from behind `cursor`.
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
        let page = self.log_page::<Event>(&caller.org, "event", cursor, limit).await?;
        let items = page
            .items
            .into_iter()
            .map(|record| EventView { revision: record.revision.0, event: Event::clone(&record) })
            .collect();
        Ok(LogPage { items, next: page.next, revision: page.revision })
    }

    /// Audit entries of the caller's organisation, oldest first, from behind `cursor`.
    ///
    /// # Errors
    /// When the caller may not read them or the cursor is malformed.
    pub async fn list_audit(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage<AuditEntry>, Error> {
        self.allow(caller, Action::AuditRead, "audit")?;
        let page = self.log_page::<AuditEntry>(&caller.org, "audit", cursor, limit).await?;
        let items = page.items.into_iter().map(|record| AuditEntry::clone(&record)).collect();
        Ok(LogPage { items, next: page.next, revision: page.revision })
    }

    async fn log_page<T: DeserializeOwned>(
        &self,
        org: &Name,
        kind: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage<Record<T>>, Error> {
        let prefix = keys::of_org(org, kind);
        let after = cursor.map(|cursor| key(format!("{prefix}{cursor}"))).transpose()?;
        let out = self
            .store
            .range(&Prefix::new(prefix.as_str()), Page { after, limit }, Consistency::LOCAL)
            .await?;
        let items = out
            .items
            .iter()
            .map(|item| Record::decode(item.key.as_str(), &item.value))
            .collect::<Result<Vec<_>, _>>()?;
        let next = out.next.and_then(|next| next.as_str().strip_prefix(prefix.as_str()).map(str::to_owned));
        Ok(LogPage { items, next, revision: out.revision.0 })
    }
}

/// Deletes the oldest entries of both logs and remembered requests beyond what is kept. Called now and then.
///
/// # Errors
/// When the store fails.
pub(crate) async fn trim(store: &Arc<dyn StateStore>, org: &Name) -> Result<usize, Error> {
    let mut trimmed = 0;
    for kind in ["event", "audit", "request"] {
        let prefix = Prefix::new(keys::of_org(org, kind));
        let out = store.range(&prefix, Page::all(), Consistency::LOCAL).await?;
        let excess = out.items.len().saturating_sub(KEPT_ENTRIES);
        for chunk in out.items[..excess].chunks(1000) {
            let ops = chunk.iter().map(|item| Op::Delete(item.key.clone())).collect();
            store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
            trimmed += chunk.len();
        }
    }
    Ok(trimmed)
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
