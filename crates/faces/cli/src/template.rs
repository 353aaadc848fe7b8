//! `univrs template` and `univrs provider`: what resources are made from, and through whom.

use clap::Subcommand;
use serde_json::Value;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Row, Table, column};

/// Templates.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateVerb {
    /// List templates
    Ls,
    /// Show a template and its parameters
    Get {
        /// Id of the template
        id: String,
    },
}

/// Providers.
#[derive(Debug, Subcommand)]
pub(crate) enum ProviderVerb {
    /// List providers, how much of each is used, and why one cannot be
    Ls,
    /// Show a provider and the room it has
    Get {
        /// Id of the provider
        id: String,
    },
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn price(template: &Value) -> String {
    let price = &template["price"];
    if price.is_null() {
        return String::new();
    }
    format!("{} {} per {}", text(&price["amount"]), text(&price["currency"]), text(&price["per"]))
}

impl TemplateVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let listing = whole(None, async |page| context.client.templates(&page).await).await?;
                let body = listing.body.clone();
                let row = |template: &Value| Row {
                    id: text(&template["id"]),
                    name: text(&template["id"]),
                    cells: vec![
                        text(&template["id"]).into(),
                        text(&template["kind"]).into(),
                        price(template).into(),
                        text(&template["description"]).into(),
                    ],
                };
                let rows = listing.decode::<Value>()?.iter().map(row).collect();
                let columns = ["ID", "KIND", "PRICE", "DESCRIPTION"].map(column).to_vec();
                Table { columns, rows }.print(context, &body)?;
            }
            Self::Get { id } => {
                let reply = context.client.template(&id).await?;
                let known = reply.value()?;
                let mut facts = vec![
                    ("id", text(&known["id"])),
                    ("name", text(&known["name"])),
                    ("kind", text(&known["kind"])),
                    ("version", text(&known["version"])),
                    ("price", price(&known)),
                    ("description", text(&known["description"])),
                ];
                for (name, parameter) in known["parameters"].as_object().into_iter().flatten() {
                    let default = match text(&parameter["default"]) {
                        default if default.is_empty() => "has to be given".to_owned(),
                        default => format!("default {default}"),
                    };
                    facts.push((name, format!("{} ({default})", text(&parameter["description"]))));
                }
                show::details(context, reply.body(), (&id, &id), &facts)?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl ProviderVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let reply = context.client.providers().await?;
                let row = |provider: &Value| Row {
                    id: text(&provider["id"]),
                    name: text(&provider["id"]),
                    cells: vec![
                        text(&provider["id"]).into(),
                        text(&provider["available"]).into(),
                        used(provider).into(),
                        text(&provider["description"]).into(),
                        text(&provider["message"]).into(),
                    ],
                };
                let rows = reply.value()?.items.iter().map(row).collect();
                let columns = ["ID", "AVAILABLE", "USED", "DESCRIPTION", "MESSAGE"].map(column).to_vec();
                Table { columns, rows }.print(context, reply.body())?;
            }
            Self::Get { id } => {
                let reply = context.client.provider(&id).await?;
                let known = reply.value()?;
                let room = &known["room"];
                let room = if room.is_null() {
                    String::new()
                } else {
                    format!(
                        "cpu {}, memory {}, storage {}",
                        text(&room["cpu"]),
                        text(&room["memory"]),
                        text(&room["storage"])
                    )
                };
                let facts = [
                    ("id", text(&known["id"])),
                    ("description", text(&known["description"])),
                    ("available", text(&known["available"])),
                    ("message", text(&known["message"])),
                    ("room", room),
                    ("used", used(&known)),
                ];
                show::details(context, reply.body(), (&id, &id), &facts)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// How much of a provider is set aside; nothing where that is not known.
fn used(provider: &Value) -> String {
    provider["used"].as_u64().map(|percent| format!("{percent} %")).unwrap_or_default()
}
