//! `univrs logs`.

use std::str::FromStr;

use clap::Args;
use univrs_client::{LogLine, LogOptions, LogStream};
use univrs_model::Timestamp;
use univrs_model::span::Span;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Show what a workload's containers wrote.
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// Name or id of the workload
    workload: String,
    /// Keep showing what is written
    #[arg(short, long)]
    follow: bool,
    /// At most this many of the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    /// Only lines after this: a duration such as `10m`, or a time
    #[arg(long, value_name = "DURATION|TIME")]
    since: Option<Since>,
    /// Only lines of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only lines of this container
    #[arg(long)]
    container: Option<String>,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
}

/// From when on lines are wanted.
#[derive(Clone, Copy, Debug)]
enum Since {
    Ago(Span),
    Time(Timestamp),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || {
            format!("`{text}` is neither a duration such as `10m` nor a time such as `2026-01-01T00:00:00Z`")
        };
        text.parse().map(Self::Ago).or_else(|_| text.parse().map(Self::Time).map_err(|_| fail()))
    }
}

impl Since {
    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.checked_sub(span.duration()).unwrap_or(Timestamp::MIN),
            Self::Time(time) => time,
        }
    }
}

impl LogsArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let view = context.client.workload(&self.workload).await?.value()?;
        let options = LogOptions {
            follow: self.follow,
            tail: self.tail,
            since: self.since.map(|since| since.before((context.io.now)())),
            instance: self.instance.clone(),
            container: self.container.clone(),
        };
        let several = self.instance.is_none() && (view.replicas > 1 || view.instances > 1);
        let containers = self.container.is_none() && view.spec.containers().len() > 1;
        let mut lines = context.client.logs(&self.workload, &options).await?;
        tokio::select! {
            outcome = self.show(context, &mut lines, several, containers) => outcome,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Ok),
        }
    }

    async fn show(
        &self,
        context: &mut Context<'_>,
        lines: &mut LogStream,
        instances: bool,
        containers: bool,
    ) -> Result<Exit, Fault> {
        if context.for_programs() {
            while let Some(line) = lines.next_raw().await? {
                context.io.data(&String::from_utf8_lossy(&line))?;
            }
            return Ok(Exit::Ok);
        }
        while let Some(line) = lines.next().await? {
            context.io.data(&text(&line, self.timestamps, instances, containers))?;
        }
        Ok(Exit::Ok)
    }
}

/// A line with as much of its origin as tells it apart.
fn text(line: &LogLine, timestamps: bool, instances: bool, containers: bool) -> String {
    let mut text = String::new();
    if let (true, Some(at)) = (timestamps, line.at) {
        text.push_str(&format!("{at} "));
    }
    match (instances, containers) {
        (true, true) => text.push_str(&format!("{}/{} | ", line.instance, line.container)),
        (true, false) => text.push_str(&format!("{} | ", line.instance)),
        (false, true) => text.push_str(&format!("{} | ", line.container)),
        (false, false) => {}
    }
    text.push_str(&line.text);
    text
}
