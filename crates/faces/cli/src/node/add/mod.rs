//! `univrs node add`: makes another machine a node of the cluster, over SSH.
//!
//! It looks first and says everything that is missing; only then is anything changed. When a later step fails, what was
//! done is taken back.

mod carry;
mod far;
mod machine;
mod ssh;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use univrs_model::node::{NodeState, NodeView, Role};

use self::carry::{Adding, Program};
use self::far::{Done, Far};
use self::machine::{Machine, Places, Wanted};
use self::ssh::Ssh;
use crate::args::{self, Invocation};
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::progress::Progress;
use crate::show;
use crate::up::UpArgs;

/// How many members the machine is told to join.
const MEMBERS: usize = 3;
/// Flags of `up` that are this command's own to give.
const OWN_FLAGS: [&str; 6] =
    ["--join", "--join-token", "--join-token-file", "--ca-sha256", "--bootstrap", "--connect"];

/// Make another machine a node of this cluster, over SSH
///
/// The machine is looked at first, and nothing is changed while something is missing. It gets this program, a service of
/// systemd, and a join token that is good for it alone. When a step fails, all before it are taken back (exit code 7).
/// The system's `ssh` is used, with its configuration, agent and known hosts; nobody is asked for a password.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// The machine, as `ssh` knows it; another user than root needs `sudo` without a password
    #[arg(value_name = "USER@HOST")]
    target: String,
    /// Flags of `univrs up` there, such as `-- --role slim --cloud aws --region us-east-1`
    #[arg(last = true, value_name = "FLAGS OF UP")]
    flags: Vec<String>,
    /// Port of SSH
    #[arg(long, value_name = "PORT")]
    ssh_port: Option<u16>,
    /// Private key for SSH
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Configuration of SSH instead of ~/.ssh/config
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// Take the key of a machine never seen before as it is; one that has changed is refused all the same
    #[arg(long)]
    accept_new_host_key: bool,
    /// Members to join, as the machine reaches them; those that the cluster knows when absent
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',')]
    join: Vec<String>,
    /// Program to run there instead of this one, for a machine with another processor
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the program goes
    #[arg(long, value_name = "FILE", default_value = "/usr/local/bin/univrs")]
    program: String,
    /// Where the unit goes; its name is that of the service
    #[arg(long, value_name = "FILE", default_value = "/etc/systemd/system/univrs.service")]
    unit: String,
    /// Start a plain process instead of a service; it does not come back when the machine restarts
    #[arg(long)]
    no_systemd: bool,
    /// Look at the machine, say what is missing, and change nothing
    #[arg(long)]
    check: bool,
}

impl AddArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let mut progress = Progress::new(context.io);
        let ended = self.add(context, &mut progress).await;
        progress.finish(context.io)?;
        ended
    }

    async fn add(self, context: &mut Context<'_>, progress: &mut Progress) -> Result<Exit, Fault> {
        let target = self.target.clone();
        let only_check = self.check;
        let Some(adding) = self.prepare(context, progress).await? else { return Ok(Exit::Ok) };
        if only_check {
            progress.say(context.io, &target, &format!("can become node {}", adding.name))?;
            return Ok(Exit::Ok);
        }
        let mut done = Done::default();
        let outcome = tokio::select! {
            outcome = adding.carry_out(context, progress, &mut done) => outcome,
            _ = tokio::signal::ctrl_c() => {
                Err(Fault::Ended { exit: Exit::Interrupted, detail: "stopped".to_owned(), hint: None })
            }
        };
        match outcome {
            Ok(()) => {
                let reply = context.client.node(&adding.name).await;
                if context.detach {
                    return Ok(Exit::Ok);
                }
                let id = reply.as_ref().ok().and_then(|reply| reply.value().ok());
                let id = id.map(|node| node.node.id.to_string()).unwrap_or_default();
                show::written(context, reply?.body(), &id, &adding.name)?;
                Ok(Exit::Ok)
            }
            Err(fault) => Err(adding.take_back(context, progress, done, fault).await?),
        }
    }

    /// Looks at cluster and machine; nothing when the machine is a node already.
    async fn prepare(
        self,
        context: &mut Context<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Adding>, Fault> {
        let up = of_up(&self.flags)?;
        if self.target.is_empty() || self.target.starts_with('-') {
            return Err(Fault::usage(format!("`{}` is no machine", self.target), "write USER@HOST"));
        }
        let data =
            up.data_dir.as_ref().map_or_else(|| "/var/lib/univrs".into(), |dir| dir.display().to_string());
        let places = Places { program: self.program, unit: self.unit, data };
        for place in [&places.program, &places.unit, &places.data] {
            if !place.starts_with('/') || place.contains('\n') {
                return Err(Fault::usage(format!("`{place}` is no absolute path"), "begin it with `/`"));
            }
        }
        let program = Program::read(self.binary)?;
        let before: Vec<NodeView> =
            whole(None, async |page| context.client.nodes(&page).await).await?.decode()?;
        let hosts = match self.join.is_empty() {
            true => members(&before)?,
            false => self.join,
        };
        let mut ssh = Ssh {
            target: self.target,
            port: self.ssh_port,
            identity: self.identity,
            config: self.ssh_config,
            accept_new: self.accept_new_host_key,
            sudo: false,
        };
        progress.say(context.io, &ssh.target, "looking at the machine")?;
        let mut seen = Machine::default();
        seen.hear(&ssh.run(machine::WHO, b"").await?.out);
        lacking(&ssh.target, seen.lacks_from_afar(program.made_for))?;
        ssh.sudo = !seen.is_root();
        seen.hear(&ssh.run(&machine::inspection(&places), b"").await?.out);
        let far = Far { ssh, places, systemd: !self.no_systemd };
        if seen.has("node") && is_member(context, progress, &far, &seen, &before, &program)? {
            return Ok(None);
        }
        let wanted = Wanted {
            up: &up,
            size: u64::try_from(program.bytes.len()).unwrap_or(u64::MAX),
            digest: &program.digest,
            systemd: far.systemd,
            now: (context.io.now)().as_second(),
        };
        let mut lacks = seen.lacks(&wanted, &far.places);
        let hosts = reached(&far.ssh, hosts, &mut lacks).await?;
        let host = seen.fact("hostname");
        let name = up.name.as_ref().map_or_else(|| machine::node_name(host), ToString::to_string);
        if before.iter().any(|node| node.node.name.as_str() == name) {
            lacks.push(format!(
                "the cluster has a node {name} already: give another name with `-- --name NAME`"
            ));
        }
        lacking(&far.ssh.target, lacks)?;
        for without in seen.does_without(&up) {
            context.talk(&format!("{}: {without}", far.ssh.target))?;
        }
        let mut flags = self.flags;
        if up.name.is_none() {
            flags.extend(["--name".to_owned(), name.clone()]);
        }
        flags.extend(["--join".to_owned(), hosts.join(",")]);
        flags.extend(["--join-token-file".to_owned(), far.token_file()]);
        let (has, empty) = (seen.fact("program").to_owned(), !seen.has("data"));
        Ok(Some(Adding { far, program, up, flags, name, has, empty, before }))
    }
}

/// The flags of `up`, checked here before anything happens there.
fn of_up(flags: &[String]) -> Result<UpArgs, Fault> {
    for flag in flags {
        let name = flag.split('=').next().unwrap_or_default();
        if OWN_FLAGS.contains(&name) {
            return Err(Fault::usage(
                format!("{name} is given by this command itself"),
                "name members to join with --join before the `--`",
            ));
        }
    }
    let line = ["univrs", "up"].map(OsString::from).into_iter().chain(flags.iter().map(OsString::from));
    match args::try_parse(line) {
        Ok(Invocation::Up(up)) => Ok(*up),
        Ok(_) => Err(Fault::usage("those are no flags of `univrs up`", "see `univrs up --help`")),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(Fault::usage(first, "the flags of `univrs up` go after `--`; see `univrs up --help`"))
        }
    }
}

/// Addresses of members that let machines in, those that hold the state.
fn members(nodes: &[NodeView]) -> Result<Vec<String>, Fault> {
    let elsewhere = |address: &String| {
        address.parse::<SocketAddr>().map_or(!address.starts_with("localhost"), |at| !at.ip().is_loopback())
    };
    let mut ready: Vec<&NodeView> = nodes.iter().filter(|node| node.state == NodeState::Ready).collect();
    ready.sort_by_key(|node| !node.node.roles.contains(&Role::Validator));
    let hosts: Vec<String> = ready
        .iter()
        .filter(|node| node.node.roles != [Role::Slim])
        .filter_map(|node| node.node.address.clone())
        .filter(elsewhere)
        .take(MEMBERS)
        .collect();
    if hosts.is_empty() {
        return Err(Fault::usage(
            "no node of the cluster has an address that other machines could reach",
            "name one with --join HOST[:PORT], or start a node with --node-listen and --advertise",
        ));
    }
    Ok(hosts)
}

/// Those of the members that the machine reaches, or about which it does not say.
async fn reached(ssh: &Ssh, hosts: Vec<String>, lacks: &mut Vec<String>) -> Result<Vec<String>, Fault> {
    let mut good = Vec::new();
    for host in &hosts {
        let address = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.clone()
        } else {
            format!("{host}:9443")
        };
        if ssh.reaches(&address).await? != Some(false) {
            good.push(host.clone());
        }
    }
    if good.is_empty() {
        lacks.push(format!(
            "it reaches no member at {}: open that port, or name another way with --join",
            hosts.join(", ")
        ));
    }
    Ok(good)
}

/// Whether the machine is a node of this cluster and well; refuses when it is of another, or not well.
fn is_member(
    context: &mut Context<'_>,
    progress: &mut Progress,
    far: &Far,
    seen: &Machine,
    nodes: &[NodeView],
    program: &Program,
) -> Result<bool, Fault> {
    let target = &far.ssh.target;
    let identity: serde_json::Value = serde_json::from_str(seen.fact("node")).unwrap_or_default();
    let is_member = identity["founded"] == true || !identity["standing"].is_null();
    if !is_member {
        return Ok(false);
    }
    let conflict =
        |detail: String, hint: String| Fault::Ended { exit: Exit::Conflict, detail, hint: Some(hint) };
    let own = identity["node"].as_str().unwrap_or_default();
    let Some(node) = nodes.iter().find(|node| node.node.id.as_str() == own) else {
        return Err(conflict(
            format!("{target} belongs to another cluster, or was removed from this one"),
            format!("to take it out of there, run `univrs down` on it and remove {}", far.places.data),
        ));
    };
    let name = &node.node.name;
    if node.state != NodeState::Ready {
        return Err(conflict(
            format!("{target} is node {name} already, but it is not heard"),
            format!("look at it there: `systemctl status {0}`, `journalctl -u {0}`", far.service()),
        ));
    }
    progress.say(context.io, target, &format!("is node {name} already, and ready; nothing was changed"))?;
    if seen.has("program") && seen.fact("program") != program.digest {
        context.talk(&format!("{target}: its program is another one than this; it was left alone"))?;
    }
    Ok(true)
}

fn lacking(target: &str, lacks: Vec<String>) -> Result<(), Fault> {
    if lacks.is_empty() {
        return Ok(());
    }
    Err(Fault::Ended {
        exit: Exit::CheckFailed,
        detail: format!("{target} cannot become a node: {}", lacks.join("; ")),
        hint: Some("nothing was changed".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::of_up;

    #[test]
    fn flags_that_the_command_gives_itself_are_refused() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(of_up(&words("--role slim --cloud aws")).is_ok());
        for line in ["--join a", "--join-token=x", "--bootstrap", "--no-such", "--join-token-file f"] {
            assert!(of_up(&words(line)).is_err(), "{line}");
        }
    }
}
