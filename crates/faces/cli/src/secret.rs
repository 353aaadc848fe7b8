//! `univrs secret`: values that containers receive and nobody reads back.

use std::path::PathBuf;

use clap::Subcommand;
use univrs_client::Secret;

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
        file: Option<PathBuf>,
    },
    /// List secrets, without their values
    Ls,
    /// Remove a secret
    Rm {
        /// Name of the secret
        name: String,
    },
}

impl SecretVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Set { name, file } => {
                let value = value(context, file)?;
                let reply = context.client.set_secret(&name, &value).await?;
                context.talk(&format!("secret {name} set"))?;
                show::written(context, reply.body(), &name, &name)?;
            }
            Self::Ls => {
                let listing = whole(None, async |page| context.client.secrets(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Rm { name } => {
                confirm::removal(context, "secret", &name)?;
                context.client.delete_secret(&name).await?;
                context.talk(&format!("secret {name} removed"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn value(context: &mut Context<'_>, file: Option<PathBuf>) -> Result<String, Fault> {
    let bytes = match &file {
        Some(file) => {
            std::fs::read(file).map_err(|source| Fault::local(format!("read {}", file.display()), source))?
        }
        None => {
            if context.io.can_ask {
                context.talk("write the value, then Ctrl-D")?;
            }
            let mut bytes =
                context.io.read_all().map_err(|source| Fault::local("read standard input", source))?;
            if bytes.ends_with(b"\n") {
                bytes.pop();
            }
            bytes
        }
    };
    String::from_utf8(bytes)
        .map_err(|_| Fault::failed("the value is not UTF-8 text", Some("encode it, for instance as base64")))
}

fn table(secrets: &[Secret]) -> Table {
    let columns = vec![column("NAME"), column("REVISION"), column("UPDATED")];
    let row = |secret: &Secret| Row {
        id: secret.name.clone(),
        name: secret.name.clone(),
        cells: vec![
            secret.name.as_str().into(),
            secret.revision.to_string().into(),
            Cell::Time(secret.updated_at),
        ],
    };
    Table { columns, rows: secrets.iter().map(row).collect() }
}
