//! The command line: `univrs <noun> <verb>` and a few short forms.
//!
//! [`parse`] reads the arguments. What it returns is either for the program itself (`up`, `down`) or a
//! [`ClientCommand`] that [`run()`] executes against a server. Standard output carries data, standard error
//! carries talk; the exit code tells how it ended ([`Exit`]).

mod alert;
mod args;
mod audit;
mod backup;
mod certificate;
mod cluster;
mod completion;
mod confirm;
mod context;
mod dashboard;
mod deploy;
mod documents;
mod download;
mod events;
mod exit;
mod fault;
mod image;
mod install;
mod io;
mod join_token;
mod lab;
mod listing;
mod mcp;
mod mesh;
mod node;
mod openapi;
mod operation;
mod org;
mod plan;
mod plans;
mod progress;
mod proxy;
mod resource;
mod run;
mod secret;
mod show;
mod status;
mod table;
mod template;
mod terminal;
mod token;
mod topology;
mod up;
mod usage;
mod version;
mod volume;
mod wait;
mod workload;

use std::process::ExitCode;
use std::sync::Arc;

pub use args::{ClientCommand, Invocation, command, parse, try_parse};
pub use backup::{InspectArgs, RestoreArgs};
pub use exit::Exit;
pub use image::{FiledImage, ImageFile, ImageFiles};
pub use io::Io;
pub use up::{DownArgs, Ipv4Range, LogFormat, OnExit, Overcommit, RecoverArgs, Share, UpArgs};

use context::Context;
use fault::Fault;

/// Executes a command against its server, with the process's own streams.
pub async fn run(command: ClientCommand, image_files: Arc<dyn ImageFiles>) -> ExitCode {
    let mut io = Io::process(command.global.no_color).with_image_files(image_files);
    execute(command, &mut io).await.into()
}

/// Executes a command against its server, with the given streams.
pub async fn execute(command: ClientCommand, io: &mut Io) -> Exit {
    let ClientCommand { global, verb, version } = command;
    let outcome = match Context::new(global, version, io) {
        Ok(mut context) => match verb.run(&mut context).await {
            // What was asked for with --dry-run.
            Err(Fault::Api(univrs_client::Error::Planned { plan })) => plan::show(&mut context, &plan),
            outcome => outcome,
        },
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(exit) => exit,
        Err(fault) => fault.report(io),
    }
}
