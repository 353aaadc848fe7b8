//! The grammar of the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use univrs_model::span::Span;

use crate::backup::{BackupVerb, CreateArgs, InspectArgs, RestoreArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::up::{DownArgs, RecoverArgs, UpArgs};
use crate::{
    alert, audit, certificate, cluster, completion, dashboard, deploy, events, image, install, join_token,
    lab, mcp, mesh, node, openapi, operation, org, plans, proxy, resource, run, secret, status, template,
    token, topology, usage, version, volume, workload,
};

/// Runs containers on many machines
#[derive(Debug, Parser)]
#[command(name = "univrs", version, propagate_version = false, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Address of the API
    #[arg(
        long,
        global = true,
        env = "UNIVRS_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) server: String,
    /// Certificates as PEM that an https:// server is trusted by, instead of those of this machine
    #[arg(long, global = true, env = "UNIVRS_SERVER_CA", value_name = "FILE")]
    pub(crate) server_ca: Option<PathBuf>,
    /// API token; loopback needs none
    #[arg(long, global = true, env = "UNIVRS_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Organisation whose objects are meant
    #[arg(long, global = true, env = "UNIVRS_ORG")]
    pub(crate) org: Option<String>,
    /// Form of the data on standard output
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Print ids only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Do not ask
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Show the plan of the first change and change nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// How long to wait until a change has settled
    #[arg(long, global = true, value_name = "DURATION", default_value = "5m")]
    pub(crate) timeout: Span,
    /// Do not wait until a change has settled
    #[arg(long, global = true)]
    pub(crate) detach: bool,
    /// Do not colour anything (also NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// Form of the data on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// A table with more columns and exact times
    Wide,
    /// The server's own JSON
    Json,
    /// The same as YAML
    Yaml,
    /// Names only
    Name,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run this machine as a node
    Up(Box<UpArgs>),
    /// Stop and remove everything that a node of this machine has made
    Down(DownArgs),
    Recover(RecoverArgs),
    /// Copies of the whole state
    #[command(subcommand, visible_alias = "backups")]
    Backup(BackupVerb),
    #[command(flatten)]
    Client(Verb),
}

impl Command {
    /// Whether all that it changes goes through the API. Whoever asks for a plan must not get the thing done.
    fn can_be_planned(&self) -> bool {
        let Self::Client(verb) = self else { return false };
        !matches!(
            verb,
            Verb::Install(_)
                | Verb::Lab(_)
                | Verb::Topology(_)
                | Verb::Exec(_)
                | Verb::Proxy(_)
                | Verb::Mcp(_)
                | Verb::Dashboard(_)
                | Verb::Node(node::NodeVerb::Add(_))
                | Verb::Workload(workload::WorkloadVerb::Exec(_))
        )
    }
}

/// The commands that talk to a server.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the cluster
    Status(status::StatusArgs),
    /// The cluster as a whole
    #[command(subcommand)]
    Cluster(cluster::ClusterVerb),
    /// Nodes of the cluster
    #[command(subcommand, visible_alias = "nodes")]
    Node(node::NodeVerb),
    /// Run a container
    Run(Box<run::RunArgs>),
    /// Make workloads what their files say
    Deploy(deploy::DeployArgs),
    /// Workloads
    #[command(subcommand, visible_alias = "workloads")]
    Workload(workload::WorkloadVerb),
    /// List workloads
    Ls(workload::ls::LsArgs),
    /// List instances
    Ps(workload::ps::PsArgs),
    /// Show what a workload's containers wrote
    Logs(workload::logs::LogsArgs),
    /// Execute a command in an instance
    Exec(workload::exec::ExecArgs),
    /// Set how many instances workloads have
    Scale(workload::scale::ScaleArgs),
    /// Reach a workload's port from this machine
    Proxy(proxy::ProxyArgs),
    /// Images
    #[command(subcommand, visible_alias = "images")]
    Image(image::ImageVerb),
    /// Long changes
    #[command(subcommand, visible_alias = "operations")]
    Operation(operation::OperationVerb),
    /// Planned changes, and the decision about those that need one
    #[command(subcommand, visible_alias = "plans")]
    Plan(plans::PlanVerb),
    /// Organisations
    #[command(subcommand, visible_alias = "orgs")]
    Org(org::OrgVerb),
    /// What machines join the cluster with
    #[command(subcommand, visible_alias = "join-tokens")]
    JoinToken(join_token::JoinTokenVerb),
    /// API tokens
    #[command(subcommand, visible_alias = "tokens")]
    Token(token::TokenVerb),
    /// Values that containers receive and nobody reads back
    #[command(subcommand, visible_alias = "secrets")]
    Secret(secret::SecretVerb),
    /// Certificates of hosts of the ingress
    #[command(subcommand, visible_alias = "certificates")]
    Certificate(certificate::CertificateVerb),
    /// What workloads keep on nodes
    #[command(subcommand, visible_alias = "volumes")]
    Volume(volume::VolumeVerb),
    /// Databases, storage and the like, from templates
    #[command(subcommand, visible_alias = "resources")]
    Resource(resource::ResourceVerb),
    /// What resources are made from
    #[command(subcommand, visible_alias = "templates")]
    Template(template::TemplateVerb),
    /// What resources are deployed through
    #[command(subcommand, visible_alias = "providers")]
    Provider(template::ProviderVerb),
    /// What resources used and what that cost
    Usage(usage::UsageArgs),
    /// What someone should be told
    #[command(subcommand, visible_alias = "alerts")]
    Alert(alert::AlertVerb),
    /// Files of clouds: checked, priced, emitted on this machine
    #[command(subcommand)]
    Topology(topology::TopologyVerb),
    /// Many real nodes on this machine, to rehearse on
    #[command(subcommand)]
    Lab(lab::LabVerb),
    /// The encrypted network between nodes
    #[command(subcommand)]
    Mesh(mesh::MeshVerb),
    /// Copy the whole state into a file
    #[command(skip)]
    Backup(CreateArgs),
    /// Make this program a service of systemd, and start it
    Install(install::InstallArgs),
    /// Show what happened
    Events(events::EventsArgs),
    /// Who did what
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Serve AI operators on standard input and output (Model Context Protocol)
    Mcp(mcp::McpArgs),
    /// Serve the dashboard alone, in front of a server
    Dashboard(dashboard::DashboardArgs),
    /// Print the description of the API
    Openapi(openapi::OpenapiArgs),
    /// Print completions for a shell
    Completion(completion::CompletionArgs),
    /// Print the versions of this program and of the server
    Version(version::VersionArgs),
}

impl Verb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Status(args) => args.run(context).await,
            Self::Cluster(verb) => verb.run(context).await,
            Self::Node(verb) => verb.run(context).await,
            Self::Run(args) => args.run(context).await,
            Self::Deploy(args) => args.run(context).await,
            Self::Workload(verb) => verb.run(context).await,
            Self::Ls(args) => args.run(context).await,
            Self::Ps(args) => args.run(context).await,
            Self::Logs(args) => args.run(context).await,
            Self::Exec(args) => args.run(context).await,
            Self::Scale(args) => args.run(context).await,
            Self::Proxy(args) => args.run(context).await,
            Self::Image(verb) => verb.run(context).await,
            Self::Operation(verb) => verb.run(context).await,
            Self::Plan(verb) => verb.run(context).await,
            Self::Org(verb) => verb.run(context).await,
            Self::JoinToken(verb) => verb.run(context).await,
            Self::Token(verb) => verb.run(context).await,
            Self::Secret(verb) => verb.run(context).await,
            Self::Certificate(verb) => verb.run(context).await,
            Self::Volume(verb) => verb.run(context).await,
            Self::Resource(verb) => verb.run(context).await,
            Self::Template(verb) => verb.run(context).await,
            Self::Provider(verb) => verb.run(context).await,
            Self::Usage(args) => args.run(context).await,
            Self::Alert(verb) => verb.run(context).await,
            Self::Topology(verb) => verb.run(context),
            Self::Lab(verb) => verb.run(context).await,
            Self::Mesh(verb) => verb.run(context).await,
            Self::Install(args) => args.run(context),
            Self::Backup(args) => args.run(context).await,
            Self::Events(args) => args.run(context).await,
            Self::Audit(verb) => verb.run(context).await,
            Self::Mcp(args) => args.run(context).await,
            Self::Dashboard(args) => args.run(context).await,
            Self::Openapi(args) => args.run(context).await,
            Self::Completion(args) => args.run(context),
            Self::Version(args) => args.run(context).await,
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// To run this machine as a node.
    Up(Box<UpArgs>),
    /// To remove what a node of this machine has made.
    Down(DownArgs),
    /// To make a cluster of one out of what is left of a larger one.
    Recover(RecoverArgs),
    /// To look into a backup.
    Inspect(InspectArgs),
    /// To begin a cluster from a backup.
    Restore(RestoreArgs),
    /// To talk to a server; see [`crate::run()`].
    Client(Box<ClientCommand>),
}

/// A command for a server.
#[derive(Debug)]
pub struct ClientCommand {
    pub(crate) global: Global,
    pub(crate) verb: Verb,
    /// The version of this program.
    pub(crate) version: &'static str,
}

/// The grammar, for completions and documentation.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads a command line, the program's name included. Help and complaints are printed here. `version` is what the
/// program says of itself: it may have been stamped after it was built.
///
/// Called as `orchestrator` it means `univrs up`, called as `mcp-orchestrator` it means `univrs mcp`.
///
/// # Errors
/// When there is nothing left to do: the exit code is 0 after help, and 2 after a complaint.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    version: &'static str,
) -> Result<Invocation, ExitCode> {
    read(args, version).map_err(|error| {
        // Without a place to complain, the exit code still tells.
        let _ = error.print();
        u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
    })
}

/// As [`parse`], without printing anything, in the version that was built.
///
/// # Errors
/// When the command line is not one, or asks for help.
pub fn try_parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    read(args, env!("CARGO_PKG_VERSION"))
}

fn read(args: impl IntoIterator<Item = OsString>, version: &'static str) -> Result<Invocation, clap::Error> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if let Some(verb) = args.first().and_then(implied_verb) {
        args.insert(1, verb.into());
    }
    let mut matches = command().version(version).try_get_matches_from(args)?;
    let Cli { global, command } = Cli::from_arg_matches_mut(&mut matches)?;
    if global.dry_run && !command.can_be_planned() {
        let what = "--dry-run plans changes that are made through the API, and this command makes none";
        return Err(self::command().error(clap::error::ErrorKind::ArgumentConflict, what));
    }
    Ok(match command {
        Command::Up(args) => Invocation::Up(args),
        Command::Down(args) => Invocation::Down(args),
        Command::Recover(args) => Invocation::Recover(args),
        Command::Backup(BackupVerb::Restore(args)) => Invocation::Restore(args),
        Command::Backup(BackupVerb::Inspect(args)) => {
            Invocation::Inspect(InspectArgs { json: global.output == Format::Json, ..args })
        }
        Command::Backup(BackupVerb::Create(args)) => {
            Invocation::Client(Box::new(ClientCommand { global, verb: Verb::Backup(args), version }))
        }
        Command::Client(verb) => Invocation::Client(Box::new(ClientCommand { global, verb, version })),
    })
}

/// The verb that the name of the program stands for.
fn implied_verb(program: &OsString) -> Option<&'static str> {
    match Path::new(program).file_name()?.to_str()? {
        "orchestrator" => Some("up"),
        "mcp-orchestrator" => Some("mcp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Invocation, command, try_parse};

    fn parse_words(line: &str) -> Result<Invocation, clap::Error> {
        try_parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_grammar_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn orchestrator_means_up() {
        let Ok(Invocation::Up(args)) = parse_words("/usr/bin/orchestrator --zone a --role validator") else {
            panic!("not up");
        };
        assert_eq!((args.zone.as_str(), args.role.len()), ("a", 1));
        assert!(parse_words("orchestrators up").is_ok());
    }

    #[test]
    fn up_reads_all_its_flags() {
        let line = "univrs up --bootstrap --api 127.0.0.1:8080 --data-dir d --role validator,business,slim \
            --cloud aws --region us-east-1 --zone a --operator me --label a=b --label c=d --runtime oci \
            --overcommit cpu=2,memory=1.5 --cluster-cidr 100.64.0.0/10 --allow-bind /srv,/data --name n --on-exit down";
        let Ok(Invocation::Up(args)) = parse_words(line) else { panic!("not up") };
        assert_eq!((args.labels.len(), args.role.len(), args.bootstrap), (2, 3, true));
    }

    #[test]
    fn wrong_usage_is_an_error_of_code_2() {
        for line in [
            "univrs",
            "univrs frobnicate",
            "univrs ls --output xml",
            "univrs up --runtime vm",
            "univrs scale",
        ] {
            assert_eq!(parse_words(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse_words("univrs --help").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn what_cannot_be_planned_is_not_done_with_dry_run() {
        for line in [
            "univrs up --dry-run",
            "univrs down --dry-run",
            "univrs lab down --dry-run",
            "univrs install --dry-run",
            "univrs exec web --dry-run -- reboot",
            "univrs workload exec web --dry-run -- reboot",
            "univrs node add root@far --dry-run",
            "univrs backup restore --dry-run file",
        ] {
            assert_eq!(parse_words(line).unwrap_err().exit_code(), 2, "{line}");
        }
        for line in ["univrs scale web=2 --dry-run", "univrs --dry-run node drain one"] {
            assert!(parse_words(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn global_flags_stand_anywhere() {
        for line in ["univrs -o json workload ls", "univrs workload ls -o json", "univrs workload -o json ls"]
        {
            assert!(matches!(parse_words(line), Ok(Invocation::Client(_))), "{line}");
        }
    }
}
