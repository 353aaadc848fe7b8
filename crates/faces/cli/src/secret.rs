//! `univrs secret`: values that containers receive and nobody reads back.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Subcommand;
use univrs_model::secret::SecretView;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column};

/// Secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// Set a secret to what comes on standard input (without its last line end) or is in a file
    Set {
        /// Name of the secret
        name: String,
        /// File that holds the value, taken as it is
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        /// `-` for standard input; a value here would stay in the shell's history
        #[arg(long, value_name = "-", conflicts_with = "from_file", value_parser = ["-"], hide_possible_values = true)]
        value: Option<String>,
    },
    /// List secrets, without their values
    Ls,
    /// Remove a secret
    Rm {
        /// Name of the secret
        name: String,
        /// Remove it although workloads use it; their next start waits then
        #[arg(long)]
        force: bool,
    },
}

impl SecretVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Set { name, from_file, value: _ } => {
                let reply = match String::from_utf8(value(context, from_file)?) {
                    Ok(text) => context.client.set_secret(&name, &text).await?,
                    Err(bytes) => {
                        context.client.set_secret_base64(&name, &BASE64.encode(bytes.as_bytes())).await?
                    }
                };
                let version = reply.value()?.version;
                context.talk(&format!("secret {name} set, version {version}"))?;
                show::written(context, reply.body(), &name, &name)?;
            }
            Self::Ls => {
                let listing = whole(None, async |page| context.client.secrets(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Rm { name, force } => {
                confirm::removal(context, "secret", &name)?;
                context.client.delete_secret(&name, force).await?;
                context.talk(&format!("secret {name} removed"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn value(context: &mut Context<'_>, file: Option<PathBuf>) -> Result<Vec<u8>, Fault> {
    if let Some(file) = &file {
        return std::fs::read(file)
            .map_err(|source| Fault::local(format!("read {}", file.display()), source));
    }
    if context.io.can_ask {
        context.talk("write the value, then Ctrl-D")?;
    }
    let mut bytes = context.io.read_all().map_err(|source| Fault::local("read standard input", source))?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    Ok(bytes)
}

fn table(secrets: &[SecretView]) -> Table {
    let columns = vec![column("NAME"), column("VERSION"), column("UPDATED"), column("USED BY")];
    let row = |secret: &SecretView| {
        let users: Vec<&str> = secret.used_by.iter().map(|name| name.as_str()).collect();
        Row {
            id: secret.id.to_string(),
            name: secret.name.to_string(),
            cells: vec![
                secret.name.as_str().into(),
                secret.version.to_string().into(),
                Cell::Time(Some(secret.updated_at)),
                users.join(", ").into(),
            ],
        }
    };
    Table { columns, rows: secrets.iter().map(row).collect() }
}
