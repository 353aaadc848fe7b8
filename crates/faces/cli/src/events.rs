//! `univrs events`: what happened, and with `-f` what happens.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use univrs_model::event::{Event, EventView};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::{Listing, last};
use crate::table::{Cell, Row, Table, column, word};
use crate::wait::is_passing;

/// Time between attempts to follow again.
const AGAIN: Duration = Duration::from_secs(1);

/// Show what happened.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Keep showing what happens
    #[arg(short, long)]
    follow: bool,
    /// Only events about this workload
    #[arg(long)]
    workload: Option<String>,
    /// Only events about this node
    #[arg(long)]
    node: Option<String>,
    /// At most this many of the last events
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

impl EventsArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let listing = self.history(context).await?;
        if !self.follow {
            let body = listing.body.clone();
            table(&listing.decode()?).print(context, &body)?;
            return Ok(Exit::Ok);
        }
        let since = listing.revision;
        for event in listing.decode::<EventView>()? {
            print(context, &event)?;
        }
        tokio::select! {
            outcome = self.follow(context, since) => outcome,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Ok),
        }
    }

    /// The last events that are wanted.
    async fn history(&self, context: &Context<'_>) -> Result<Listing, Fault> {
        let about = |item: &Value, key: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| item.get(key).and_then(Value::as_str) == Some(wanted))
        };
        let wanted = |item: &Value| {
            about(item, "workload", self.workload.as_deref()) && about(item, "node", self.node.as_deref())
        };
        last(self.limit, wanted, async |page| context.client.events(&page).await).await
    }

    /// Shows events as they come; after an interruption it goes on where it was.
    async fn follow(&self, context: &mut Context<'_>, since: u64) -> Result<Exit, Fault> {
        let mut seen = since;
        loop {
            match self.follow_once(context, &mut seen).await {
                Ok(()) => {}
                Err(Fault::Api(error)) if is_passing(&error) => {
                    context.talk(&format!("{error}, trying again"))?;
                }
                Err(fault) => return Err(fault),
            }
            tokio::time::sleep(AGAIN).await;
            match self.history(context).await {
                Ok(missed) => {
                    let now = missed.revision;
                    for event in missed.decode::<EventView>()?.iter().filter(|event| event.revision > seen) {
                        print(context, event)?;
                    }
                    seen = seen.max(now);
                }
                Err(Fault::Api(error)) if is_passing(&error) => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn follow_once(&self, context: &mut Context<'_>, seen: &mut u64) -> Result<(), Fault> {
        let mut follower = context.client.follow(&["events"], Some(*seen)).await?;
        while let Some(message) = follower.next().await? {
            if message.kind == "resync" {
                return Ok(());
            }
            if message.kind != "event" || message.revision < *seen {
                continue;
            }
            let Ok(event) = serde_json::from_value::<Event>(message.data) else { continue };
            *seen = message.revision;
            if self.wants(&event) {
                print(context, &EventView { revision: message.revision, event })?;
            }
        }
        Ok(())
    }

    fn wants(&self, event: &Event) -> bool {
        let workload = self.workload.as_deref();
        let node = self.node.as_deref();
        workload.is_none_or(|name| event.workload.as_ref().is_some_and(|of| of.as_str() == name))
            && node.is_none_or(|id| event.node.as_ref().is_some_and(|of| of.as_str() == id))
    }
}

fn print(context: &mut Context<'_>, event: &EventView) -> Result<(), Fault> {
    let line = if context.for_programs() {
        serde_json::to_string(event).map_err(|error| Fault::failed(error.to_string(), None))?
    } else if context.quiet {
        event.revision.to_string()
    } else {
        let Event { at, kind, severity, workload, message, .. } = &event.event;
        let subject = workload.as_ref().map_or("-", |name| name.as_str());
        format!("{at}  {:7}  {subject}  {}: {message}", word(severity), word(kind))
    };
    Ok(context.io.data(&line)?)
}

fn table(events: &[EventView]) -> Table {
    let columns =
        vec![column("WHEN"), column("SEVERITY"), column("KIND"), column("ABOUT"), column("MESSAGE")];
    let row = |view: &EventView| {
        let event = &view.event;
        let about = event.workload.as_ref().map(ToString::to_string);
        let about = about.or_else(|| event.node.as_ref().map(ToString::to_string)).unwrap_or_default();
        Row {
            id: view.revision.to_string(),
            name: word(&event.kind),
            cells: vec![
                Cell::Time(Some(event.at)),
                Cell::State(word(&event.severity)),
                word(&event.kind).into(),
                about.into(),
                event.message.as_str().into(),
            ],
        }
    };
    Table { columns, rows: events.iter().map(row).collect() }
}
