//! `univrs alert`: what someone should be told, and whom it is told to.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use univrs_model::alert::{Alert, AlertSettings, AlertState, SilenceSpec};
use univrs_model::span::Span;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, wide, word};

/// Alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertVerb {
    /// List alerts
    Ls,
    /// Tell nobody of an alert for a while
    Silence {
        /// Id of the alert
        id: String,
        /// How long
        #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
        lasts: Span,
    },
    /// Show where alerts are told, or say so
    Settings {
        /// JSON file with `channels` and `monthly_cost`; shown when absent
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

impl AlertVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let listing = whole(None, async |page| context.client.alerts(&page).await).await?;
                let body = listing.body.clone();
                let mut alerts: Vec<Alert> = listing.decode()?;
                alerts.sort_by_key(|alert| alert.state == AlertState::Resolved);
                table(&alerts).print(context, &body)?;
            }
            Self::Silence { id, lasts } => {
                let reply = context.client.silence_alert(&id, &SilenceSpec { lasts }).await?;
                let alert = reply.value()?;
                context.talk(&format!("nobody is told of {} for {lasts}", alert.id))?;
                show::written(context, reply.body(), &alert.id, &alert.id)?;
            }
            Self::Settings { file } => {
                let reply = match file {
                    None => context.client.alert_settings().await?,
                    Some(path) => {
                        let text =
                            std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
                        let settings: AlertSettings =
                            serde_json::from_str(&text).map_err(|error| unreadable(&path, &error))?;
                        context.client.set_alert_settings(&settings).await?
                    }
                };
                settings(&reply.value()?).print(context, reply.body())?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(alerts: &[Alert]) -> Table {
    let columns = vec![
        column("STATE"),
        column("SEVERITY"),
        column("SUBJECT"),
        column("MESSAGE"),
        column("SINCE"),
        column("ID"),
        wide("SILENCED UNTIL"),
    ];
    let row = |alert: &Alert| Row {
        id: alert.id.clone(),
        name: alert.id.clone(),
        cells: vec![
            Cell::State(word(&alert.state)),
            word(&alert.severity).into(),
            alert.subject.as_str().into(),
            alert.message.as_str().into(),
            Cell::Time(Some(alert.since)),
            alert.id.as_str().into(),
            alert.silenced_until.map_or_else(String::new, |until| until.to_string()).into(),
        ],
    };
    Table { columns, rows: alerts.iter().map(row).collect() }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault::usage(
        format!("{}: {error}", path.display()),
        "see `univrs alert settings -o json` for how it is written",
    )
}

fn settings(settings: &AlertSettings) -> Table {
    let rows = settings.channels.iter().map(|channel| {
        let (kind, to) = match channel {
            univrs_model::alert::AlertChannel::Webhook { url, .. } => ("webhook", url.clone()),
            univrs_model::alert::AlertChannel::Email { to, .. } => ("email", to.join(", ")),
        };
        let name = channel.name().to_string();
        Row { id: name.clone(), name: name.clone(), cells: vec![name.into(), kind.into(), to.into()] }
    });
    Table { columns: vec![column("CHANNEL"), column("KIND"), column("TO")], rows: rows.collect() }
}
