//! `univrs resource`: databases, storage and the like from templates.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use univrs_client::{Accepted, Reply};
use univrs_model::name::Name;
use univrs_model::resource::{ResourceSpec, ResourceView};
use univrs_model::usage::ResourceUsage;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::operation::follow;
use crate::show;
use crate::table::{Cell, Row, Table, column, size, wide, word};
use crate::up::key_value;

/// Resources.
#[derive(Debug, Subcommand)]
pub(crate) enum ResourceVerb {
    /// Make a resource from a template and wait until it is active
    Create(CreateArgs),
    /// List resources
    Ls,
    /// Show a resource
    Get {
        /// Name or id of the resource
        resource: String,
    },
    /// Show what is needed to reach a resource; recorded in the audit log
    Credentials {
        /// Name or id of the resource
        resource: String,
    },
    /// Give a resource another size
    Scale {
        /// Name or id of the resource
        resource: String,
        /// Parameter of the template that changes; may be repeated
        #[arg(long = "set", value_name = "K=V", value_parser = key_value, required = true)]
        set: Vec<(String, String)>,
    },
    /// Replace a resource's credentials; the old ones stay good for a moment
    Rotate {
        /// Name or id of the resource
        resource: String,
    },
    /// Back a resource up
    Backup {
        /// Name or id of the resource
        resource: String,
    },
    /// Put a backup into a resource, in place of what it holds
    Restore {
        /// Name or id of the resource that is restored
        resource: String,
        /// The resource that the backup was made of; the same one when absent
        #[arg(long, value_name = "RESOURCE")]
        from: Option<String>,
        /// Id of the backup; the newest when absent
        #[arg(long, value_name = "ID")]
        backup: Option<String>,
        /// The time to go to, in RFC 3339, where the log of changes is kept; the backup's own when absent
        #[arg(long, value_name = "TIME")]
        to_time: Option<String>,
    },
    /// Bring a resource to what its template and images are now, after a backup where it can have one
    Upgrade {
        /// Name or id of the resource
        resource: String,
    },
    /// Let a resource's replica take the place of its primary
    Promote {
        /// Name or id of the resource
        resource: String,
    },
    /// Show what a resource wrote
    Logs {
        /// Name or id of the resource
        resource: String,
        /// The last so many lines of each of its parts
        #[arg(long, default_value_t = 100)]
        tail: usize,
    },
    /// Remove a resource with all it holds
    Rm {
        /// Name or id of the resource
        resource: String,
    },
}

/// Make a resource.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Id of the template; see `univrs template ls`
    #[arg(long, value_name = "ID")]
    template: String,
    /// Name of the resource
    #[arg(long)]
    name: Name,
    /// Id of the provider; the least used that has room when absent
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Parameter of the template; may be repeated
    #[arg(long = "set", value_name = "K=V", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Parameter whose value is the text of a file, such as `file=docker-compose.yml`; may be repeated
    #[arg(long = "set-file", value_name = "K=PATH", value_parser = key_value)]
    set_file: Vec<(String, String)>,
}

/// Parameters with those that are in files; `-` is standard input.
fn with_files(
    context: &mut Context<'_>,
    set: Vec<(String, String)>,
    files: Vec<(String, String)>,
) -> Result<Map<String, Value>, Fault> {
    let mut all = parameters(set);
    for (key, path) in files {
        let read = if path == "-" { context.io.read_all() } else { std::fs::read(&path) };
        let text = read
            .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other))
            .map_err(|source| Fault::local(format!("read {path} for {key}"), source))?;
        all.insert(key, Value::String(text));
    }
    Ok(all)
}

/// Says how a resource differs from what the file that it was made from would be elsewhere.
fn say_differences(context: &mut Context<'_>, begun: &Accepted) -> Result<(), Fault> {
    let said = begun.resource.as_ref().and_then(|view| view.differences.as_ref());
    for one in said.iter().flat_map(|differences| &differences.changed) {
        context.talk(&format!("note: {}: {}", one.field, one.detail))?;
    }
    Ok(())
}

fn parameters(set: Vec<(String, String)>) -> Map<String, Value> {
    set.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
}

impl ResourceVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Create(args) => {
                let name = args.name.to_string();
                let spec = ResourceSpec {
                    name: args.name,
                    template: args.template,
                    provider: args.provider,
                    org: None,
                    parameters: with_files(context, args.set, args.set_file)?,
                };
                let begun = context.client.create_resource(&spec).await?;
                say_differences(context, &begun.value()?)?;
                settled(context, &name, begun).await
            }
            Self::Ls => {
                let listing = whole(None, async |page| context.client.resources(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
                Ok(Exit::Ok)
            }
            Self::Get { resource } => shown(context, &resource).await,
            Self::Credentials { resource } => {
                let reply = context.client.resource_credentials(&resource).await?;
                let known = reply.value()?;
                let facts: Vec<(&str, String)> = known
                    .iter()
                    .map(|(key, value)| {
                        (key.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                    })
                    .collect();
                show::details(context, reply.body(), (&resource, &resource), &facts)?;
                Ok(Exit::Ok)
            }
            Self::Scale { resource, set } => {
                let begun = context.client.scale_resource(&resource, &parameters(set)).await?;
                settled(context, &resource, begun).await
            }
            Self::Rotate { resource } => {
                let begun = context.client.rotate_resource(&resource).await?;
                settled(context, &resource, begun).await
            }
            Self::Backup { resource } => {
                let begun = context.client.back_up_resource(&resource).await?;
                settled(context, &resource, begun).await
            }
            Self::Upgrade { resource } => {
                let begun = context.client.upgrade_resource(&resource).await?;
                settled(context, &resource, begun).await
            }
            Self::Promote { resource } => {
                let question = format!("let the replica of {resource} take over?");
                if !confirm::agreed(context, &question)? {
                    return Err(Fault::failed(format!("{resource} was not changed"), None));
                }
                let begun = context.client.promote_resource(&resource).await?;
                settled(context, &resource, begun).await
            }
            Self::Restore { resource, from, backup, to_time } => {
                confirm::removal(context, "what is held by resource", &resource)?;
                let (from, backup) = (from.as_deref(), backup.as_deref());
                let begun =
                    context.client.restore_resource(&resource, from, backup, to_time.as_deref()).await?;
                settled(context, &resource, begun).await
            }
            Self::Logs { resource, tail } => {
                let reply = context.client.resource_logs(&resource, tail).await?;
                if context.for_programs() {
                    crate::table::print_body(context, reply.body())?;
                } else {
                    for line in reply.value()?.items {
                        context.io.data(&line)?;
                    }
                }
                Ok(Exit::Ok)
            }
            Self::Rm { resource } => {
                confirm::removal(context, "resource", &resource)?;
                let begun = context.client.delete_resource(&resource).await?;
                let id = begun.value()?.operation.operation.id.to_string();
                if context.detach {
                    context.talk(&format!("resource {resource}: accepted as operation {id}, not waiting"))?;
                    show::written(context, begun.body(), &id, &resource)?;
                    return Ok(Exit::Ok);
                }
                let exit = follow(context, &id).await?;
                if exit == Exit::Ok {
                    context.talk(&format!("resource {resource} removed"))?;
                }
                Ok(exit)
            }
        }
    }
}

/// Waits for a change and shows the resource after it.
async fn settled(context: &mut Context<'_>, resource: &str, begun: Reply<Accepted>) -> Result<Exit, Fault> {
    let id = begun.value()?.operation.operation.id.to_string();
    if context.detach {
        context.talk(&format!("resource {resource}: accepted as operation {id}, not waiting"))?;
        show::written(context, begun.body(), &id, resource)?;
        return Ok(Exit::Ok);
    }
    match follow(context, &id).await? {
        Exit::Ok => shown(context, resource).await,
        exit => Ok(exit),
    }
}

async fn shown(context: &mut Context<'_>, resource: &str) -> Result<Exit, Fault> {
    let reply = context.client.resource(resource).await?;
    let view = reply.value()?;
    let endpoints: Vec<String> =
        view.endpoints.iter().map(|(name, place)| format!("{name} {place}")).collect();
    let parameters: Vec<String> = view
        .parameters
        .iter()
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match text.lines().count() {
                0 | 1 => format!("{key}={text}"),
                lines => format!("{key}=({lines} lines)"),
            }
        })
        .collect();
    let (limits, requests) = (view.footprint.limits, view.footprint.requests);
    let backups: Vec<String> =
        view.backups.iter().map(|backup| format!("{} ({})", backup.id, size(backup.bytes))).collect();
    let said: Vec<String> = view.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let facts = [
        ("id", view.id.to_string()),
        ("name", view.name.to_string()),
        ("template", view.template.clone()),
        ("provider", view.provider.clone()),
        ("status", word(&view.status)),
        ("message", view.message.clone()),
        ("stage", format!("{} {}%", view.stage, view.progress)),
        ("endpoints", endpoints.join(", ")),
        ("parameters", parameters.join(" ")),
        ("limits", format!("cpu {}, memory {}, storage {}", limits.cpu, limits.memory, limits.storage)),
        (
            "requests",
            format!("cpu {}, memory {}, storage {}", requests.cpu, requests.memory, requests.storage),
        ),
        ("uses", view.usage.as_ref().map(uses).unwrap_or_default()),
        ("workloads", view.workloads.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")),
        ("backups", backups.join(", ")),
        ("facts", said.join(" ")),
        ("operation", view.operation.to_string()),
        ("made", view.created_at.to_string()),
    ];
    show::details(context, reply.body(), (view.id.as_str(), view.name.as_str()), &facts)?;
    Ok(Exit::Ok)
}

/// What a resource uses, and what it did since the hour began.
fn uses(usage: &ResourceUsage) -> String {
    let requests = usage.requests.map(|requests| format!(", {requests} requests")).unwrap_or_default();
    format!(
        "cpu {}, memory {}, storage {}; since {}: {} in, {} out{requests}",
        usage.cpu,
        size(usage.memory.get()),
        size(usage.storage.get()),
        usage.since,
        size(usage.network_in),
        size(usage.network_out),
    )
}

fn table(views: &[ResourceView]) -> Table {
    let mut columns =
        ["NAME", "TEMPLATE", "PROVIDER", "STATUS", "STAGE", "ENDPOINT", "AGE"].map(column).to_vec();
    columns.extend([wide("ID"), wide("MESSAGE")]);
    let row = |view: &ResourceView| Row {
        id: view.id.to_string(),
        name: view.name.to_string(),
        cells: vec![
            view.name.as_str().into(),
            view.template.as_str().into(),
            view.provider.as_str().into(),
            Cell::State(word(&view.status)),
            format!("{} {}%", view.stage, view.progress).into(),
            view.endpoints.values().next().cloned().unwrap_or_default().into(),
            Cell::Time(Some(view.created_at)),
            view.id.as_str().into(),
            view.message.as_str().into(),
        ],
    };
    Table { columns, rows: views.iter().map(row).collect() }
}
