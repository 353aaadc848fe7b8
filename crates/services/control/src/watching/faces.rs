//! What faces ask of usage and alerts.

use serde::{Deserialize, Serialize};
use univrs_authz::Action;
use univrs_model::Timestamp;
use univrs_model::alert::{Alert, AlertSettings, SilenceSpec};
use univrs_model::caller::Caller;
use univrs_model::decode::nearest;
use univrs_model::field::FieldError;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::usage::{UsageEntry, UsageEvent};
use univrs_ports::notify::Notifier;
use univrs_ports::store::{Consistency, Page, Prefix, Revision, TxnOutcome};
use univrs_watch::price::Money;
use univrs_watch::statement::{Statement, events, statement};
use univrs_watch::tiers::Tiers;
use utoipa::ToSchema;

use crate::error::Error;
use crate::handle::{Control, Write, check_revision};
use crate::record::{Record, key, put, unchanged};

/// How many entries of the log are read at once.
const AT_ONCE: usize = 1000;
/// How many channels an organisation may have.
const CHANNELS: usize = 16;
/// Most cost of a month to be told from, in whole units of the currency; `AlertSettings` says so too.
const MOST_COST: u64 = 1_000_000_000_000;

/// From one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsagePeriod {
    /// From then on.
    pub from: Timestamp,
    /// Before then.
    pub to: Timestamp,
}

impl UsagePeriod {
    /// The month that an instant lies in, in UTC.
    pub fn month_of(at: Timestamp) -> Self {
        let first = at.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
        let next = first.saturating_add(jiff::Span::new().months(1));
        let start = |date: jiff::civil::Date| {
            date.to_zoned(jiff::tz::TimeZone::UTC).map_or(at, |zoned| zoned.timestamp())
        };
        Self { from: start(first), to: start(next) }
    }
}

/// A page of usage events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsagePage {
    /// The events, oldest first.
    pub items: Vec<UsageEvent>,
    /// Where the next page starts.
    pub next: Option<String>,
}

impl Control {
    /// The tiers that organisations can have.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn tiers(&self, caller: &Caller) -> Result<Tiers, Error> {
        self.allow(caller, Action::OrgRead, "tier")?;
        Ok(Tiers::clone(&self.resources.tiers))
    }

    /// What the caller's organisation used within a period, and what that cost: this month's when absent.
    ///
    /// # Errors
    /// When the period ends before it begins, or the caller may not read it.
    pub async fn usage(
        &self,
        caller: &Caller,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Statement, Error> {
        self.allow(caller, Action::ResourceRead, "usage")?;
        let period = self.period(from, to)?;
        let mut entries = Vec::new();
        let mut cursor = None;
        loop {
            let (page, next) = self.entries(&caller.org, period, cursor, AT_ONCE).await?;
            entries.extend(page);
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Ok(statement(&caller.org, period.from, period.to, &entries, &self.resources.tiers))
    }

    /// A page of the events that the statement of a period is made of.
    ///
    /// # Errors
    /// As [`Control::usage`].
    pub async fn usage_events(
        &self,
        caller: &Caller,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        cursor: Option<String>,
        limit: usize,
    ) -> Result<UsagePage, Error> {
        self.allow(caller, Action::ResourceRead, "usage")?;
        let period = self.period(from, to)?;
        let (entries, next) = self.entries(&caller.org, period, cursor, limit).await?;
        Ok(UsagePage { items: entries.iter().flat_map(|entry| events(&caller.org, entry)).collect(), next })
    }

    fn period(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<UsagePeriod, Error> {
        let month = UsagePeriod::month_of(from.unwrap_or_else(|| self.clock.now()));
        let period = UsagePeriod { from: from.unwrap_or(month.from), to: to.unwrap_or(month.to) };
        if period.to < period.from {
            return Err(Error::field(FieldError::new("to", "it is before `from`")));
        }
        Ok(period)
    }

    /// Some entries of the log, from behind a cursor on, and where it goes on.
    pub(super) async fn entries(
        &self,
        org: &Name,
        period: UsagePeriod,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<(Vec<UsageEntry>, Option<String>), Error> {
        let log = keys::of_org(org, "usage");
        // Keys begin with their time: the one before the first instant is where to begin.
        let place = cursor.unwrap_or_else(|| format!("{:020}", period.from.as_microsecond().max(0)));
        let page = Page { after: Some(key(format!("{log}{place}"))?), limit };
        let out = self.store.range(&Prefix::new(log.as_str()), page, Consistency::LOCAL).await?;
        let mut found = Vec::with_capacity(out.items.len());
        let mut last = None;
        for item in &out.items {
            let entry = Record::<UsageEntry>::decode(item.key.as_str(), &item.value)?;
            if entry.from >= period.to {
                return Ok((found, None));
            }
            last = item.key.as_str().strip_prefix(log.as_str()).map(str::to_owned);
            found.push(UsageEntry::clone(&entry));
        }
        Ok((found, last.filter(|_| out.next.is_some())))
    }

    /// What a period cost an organisation.
    pub(super) async fn cost_of(&self, org: &Name, period: UsagePeriod) -> Result<Money, Error> {
        let mut sum = Money::default();
        let mut cursor = None;
        loop {
            let (entries, next) = self.entries(org, period, cursor, AT_ONCE).await?;
            for entry in entries {
                let Some(tier) = self.resources.tiers.tier(&entry.tier) else { continue };
                sum =
                    sum + entry.amounts.iter().map(|(meter, amount)| Money::of(tier, *meter, *amount)).sum();
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(sum),
            }
        }
    }

    /// The alerts of the caller's organisation, by id: those that are so, and those that were not long ago.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_alerts(&self, caller: &Caller) -> Result<(Vec<Alert>, Revision), Error> {
        self.allow(caller, Action::ResourceRead, "alert")?;
        let state = self.mirror.state();
        let own = state.alerts.iter().filter(|((org, _), _)| *org == caller.org);
        let alerts = own.map(|(_, record)| Alert::clone(record)).collect();
        Ok((alerts, state.revision))
    }

    /// Tells nobody of an alert for a while; not of its end either.
    ///
    /// # Errors
    /// When there is none of that id, or the caller may not.
    pub async fn silence_alert(
        &self,
        caller: &Caller,
        wanted: &str,
        spec: &SilenceSpec,
    ) -> Result<Alert, Error> {
        let object = format!("alert/{wanted}");
        let allowed_by = self.allow(caller, Action::ResourceWrite, &object)?;
        let state = self.mirror.state();
        let Some(known) = state.alerts.get(&(caller.org.clone(), wanted.to_owned())) else {
            let ids = state.alerts.keys().filter(|(org, _)| *org == caller.org).map(|(_, id)| id.as_str());
            let near = nearest(wanted, ids).map(str::to_owned);
            return Err(Error::NotFound { kind: "alert", name: wanted.chars().take(80).collect(), near });
        };
        let lasts = i64::try_from(spec.lasts.as_millis()).unwrap_or(i64::MAX);
        let until = self.clock.now().saturating_add(jiff::SignedDuration::from_millis(lasts));
        let silenced = Alert { silenced_until: until.ok(), ..Alert::clone(known) };
        let at = keys::alert(&caller.org, wanted);
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::ResourceWrite,
            object,
            summary: format!("silenced alert {wanted} for {}", spec.lasts),
            guards: vec![unchanged(at.clone(), Some(known.revision))?],
            ops: vec![put(at, &silenced)?],
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok(silenced)
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "alert", name: wanted.to_owned() })
            }
        }
    }

    /// Where the caller's organisation wants to be told of alerts, and the revision of that; 0 where nobody said.
    ///
    /// # Errors
    /// When the caller may not read that.
    pub fn alert_settings(&self, caller: &Caller) -> Result<(AlertSettings, u64), Error> {
        self.allow(caller, Action::ResourceRead, "alert")?;
        let state = self.mirror.state();
        let known = state.alert_settings.get(&caller.org);
        let known = known.map(|known| (AlertSettings::clone(known), known.revision.0));
        Ok(known.unwrap_or_default())
    }

    /// Says where the caller's organisation wants to be told of alerts, and answers the new revision.
    ///
    /// # Errors
    /// When a channel cannot be used, the settings are others than the caller read, or the caller may not.
    pub async fn set_alert_settings(
        &self,
        caller: &Caller,
        settings: AlertSettings,
        notifier: &dyn Notifier,
    ) -> Result<(AlertSettings, u64), Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, "alert/settings")?;
        let mut names = std::collections::BTreeSet::new();
        if settings.channels.len() > CHANNELS {
            let detail = format!("there are {}, and there may be {CHANNELS}", settings.channels.len());
            return Err(Error::field(FieldError::new("channels", detail)));
        }
        if settings.monthly_cost.is_some_and(|cost| cost > MOST_COST) {
            let detail = format!("more than {MOST_COST}, the most that can be said");
            return Err(Error::field(FieldError::new("monthly_cost", detail)));
        }
        for (place, channel) in settings.channels.iter().enumerate() {
            let below = |fault: FieldError| FieldError {
                field: format!("channels[{place}].{}", fault.field),
                ..fault
            };
            if !names.insert(channel.name()) {
                let fault =
                    FieldError::new("name", format!("another channel is called `{}`", channel.name()));
                return Err(Error::field(below(fault)));
            }
            notifier.check(channel).map_err(|fault| Error::field(below(fault)))?;
            if let Some(login) = channel.login()
                && self.newest_of(&caller.org, &login.secret).is_none()
            {
                let fault = FieldError::new("login.secret", format!("there is no secret `{}`", login.secret));
                let hint = format!("make it with `univrs secret set {}`", login.secret);
                return Err(Error::field(below(fault.hint(hint))));
            }
        }
        let at = keys::alert_settings(&caller.org);
        let known = self.mirror.state().alert_settings.get(&caller.org).map(|known| known.revision);
        let revision = known.unwrap_or_default();
        check_revision("alert settings", caller.org.as_str(), self.conditions.if_revision, revision)?;
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::ResourceWrite,
            object: "alert/settings".to_owned(),
            summary: format!("set where {} is told of alerts: {} channels", caller.org, names.len()),
            guards: vec![unchanged(at.clone(), known)?],
            ops: vec![put(at, &settings)?],
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok((settings, revision.0))
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "alert settings", name: caller.org.to_string() })
            }
        }
    }
}
