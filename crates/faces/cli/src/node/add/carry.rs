//! The steps that make the machine a node, in their order, and taking them back.

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use univrs_model::join::JoinTokenSpec;
use univrs_model::node::{NodeState, NodeView, Role};
use univrs_model::span::Span;

use super::far::{Done, Far, Placed};
use super::machine;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::{Fault, chain};
use crate::listing::whole;
use crate::progress::Progress;
use crate::up::UpArgs;

/// Pause between two looks at the cluster.
const LOOK: Duration = Duration::from_millis(500);
/// Looks at the cluster for each look at the machine.
const LOOKS: u32 = 6;
/// How long a node that was just stopped may count as alive.
const LEASE: Duration = Duration::from_secs(30);

/// The program that the machine gets.
pub(super) struct Program {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
    pub(super) made_for: Option<&'static str>,
}

/// Everything that is decided before anything is changed.
pub(super) struct Adding {
    pub(super) far: Far,
    pub(super) program: Program,
    pub(super) up: UpArgs,
    /// As they were given, and those of this command.
    pub(super) flags: Vec<String>,
    pub(super) name: String,
    /// Digest of the program that is there.
    pub(super) has: String,
    /// Whether the data directory was empty or absent.
    pub(super) empty: bool,
    /// Nodes that there were before.
    pub(super) before: Vec<NodeView>,
}

impl Adding {
    pub(super) async fn carry_out(
        &self,
        context: &mut Context<'_>,
        progress: &mut Progress,
        done: &mut Done,
    ) -> Result<(), Fault> {
        let (far, target) = (&self.far, &self.far.ssh.target);
        if self.has == self.program.digest {
            progress.say(context.io, target, "has this program already")?;
        } else {
            let size = self.program.bytes.len() >> 20;
            progress.say(context.io, target, &format!("copying the program, {size} MiB"))?;
            far.upload(&self.program.bytes, &self.program.digest).await?;
            // Known before it is done: a connection may break in between.
            let replaces = !self.has.is_empty();
            done.program = if replaces { Placed::Replaced } else { Placed::New };
            far.place(replaces).await?;
        }
        let roles = if self.up.role.is_empty() { Role::ALL.to_vec() } else { self.up.role.clone() };
        let spec = JoinTokenSpec { roles, ttl: Span::seconds(15 * 60), uses: 1 };
        let made = context.client.create_join_token(&spec).await?.value()?;
        done.token = Some(made.view.id.to_string());
        done.touched = true;
        far.give_token(&made.token).await?;
        progress.say(context.io, target, "starting the node")?;
        done.started = true;
        let process = far.start(&self.flags).await?;
        if context.detach {
            context.talk(&format!("{target}: started as node {}, not waiting", self.name))?;
            return Ok(());
        }
        progress.say(context.io, target, "joining the cluster")?;
        self.until_ready(context, process).await?;
        progress.say(context.io, target, &format!("is node {}, and ready", self.name))?;
        if let Err(fault) = far.tidy().await {
            // It is a node all the same, and the token is spent.
            context.talk(&format!("{target}: {fault}"))?;
        }
        if !far.systemd {
            context.talk(&format!(
                "{target}: it does not come back by itself when the machine restarts; its log is {}/univrs.log",
                far.places.data
            ))?;
        }
        Ok(())
    }

    /// The node as the cluster sees it, if it was not there before.
    async fn in_cluster(&self, context: &Context<'_>) -> Result<Option<NodeView>, Fault> {
        let nodes: Vec<NodeView> =
            whole(None, async |page| context.client.nodes(&page).await).await?.decode()?;
        let is_new = |node: &NodeView| !self.before.iter().any(|known| known.node.id == node.node.id);
        Ok(nodes.into_iter().find(|node| node.node.name.as_str() == self.name && is_new(node)))
    }

    async fn until_ready(&self, context: &Context<'_>, process: Option<u32>) -> Result<(), Fault> {
        let begun = Instant::now();
        for look in 1_u32.. {
            let node = self.in_cluster(context).await?;
            if node.is_some_and(|node| node.state == NodeState::Ready) {
                return Ok(());
            }
            let late = begun.elapsed() > context.patience;
            if late || look.is_multiple_of(LOOKS) {
                let daemon = self.far.look(process).await?;
                if !daemon.runs {
                    return Err(Fault::failed(format!("the node ended there: {}", told(&daemon.said)), None));
                }
                if late {
                    let seconds = context.patience.as_secs();
                    let detail =
                        format!("the node is not ready after {seconds} seconds: {}", told(&daemon.said));
                    return Err(Fault::failed(detail, Some("give more with --timeout")));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Takes everything back; the fault that tells how that went.
    pub(super) async fn take_back(
        &self,
        context: &mut Context<'_>,
        progress: &mut Progress,
        done: Done,
        fault: Fault,
    ) -> Result<Fault, Fault> {
        let target = &self.far.ssh.target;
        progress.say(context.io, target, "taking back what was done")?;
        let mut left = Vec::new();
        if let Some(token) = &done.token
            && let Err(error) = context.client.revoke_join_token(token).await
        {
            left.push(format!("join token {token} ({error})"));
        }
        match self.far.undo(&done, self.empty).await {
            Ok(undone) => {
                left.extend(undone.left.into_iter().map(|what| format!("on {target}: {what}")));
                if let Some(node) = undone.node.filter(|_| done.started)
                    && let Err(error) = forget(context, &node).await
                {
                    left.push(format!("the node in the cluster ({error}): `univrs node rm {node}`"));
                }
            }
            Err(error) => left.push(format!("all of it on {target} ({error})")),
        }
        let reason = chain(&fault);
        let hint = match &fault {
            Fault::Failed { hint, .. } | Fault::Ended { hint, .. } => hint.clone(),
            _ => None,
        };
        let interrupted = fault.exit() == Exit::Interrupted;
        Ok(match left.is_empty() {
            true => Fault::Ended {
                exit: if interrupted { Exit::Interrupted } else { Exit::Reverted },
                detail: format!("{reason}; everything was taken back"),
                hint,
            },
            false => Fault::Failed {
                detail: format!("{reason}; what could not be taken back: {}", left.join("; ")),
                hint,
            },
        })
    }
}

/// Removes a node from the cluster, if it came that far.
async fn forget(context: &Context<'_>, node: &str) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        match context.client.delete_node(node).await {
            Ok(_) => return Ok(()),
            Err(error) if error.status() == Some(404) => return Ok(()),
            // It counts as alive until its lease ends.
            Err(_) if begun.elapsed() < LEASE => tokio::time::sleep(LOOK).await,
            Err(error) => return Err(error.into()),
        }
    }
}

impl Program {
    pub(super) fn read(path: Option<PathBuf>) -> Result<Self, Fault> {
        let path = match path {
            Some(path) => path,
            None => std::env::current_exe()
                .map_err(|source| Fault::local("find this program".to_owned(), source))?,
        };
        let bytes = std::fs::read(&path)
            .map_err(|source| Fault::local(format!("read {}", path.display()), source))?;
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { made_for: machine::made_for(&bytes), digest, bytes })
    }
}

/// The end of a log as a reason: from the last error on, on one line.
fn told(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.iter().rposition(|line| line.starts_with("error:"));
    let from = from.unwrap_or_else(|| lines.len().saturating_sub(2));
    let end = (from + 2).min(lines.len());
    match lines.get(from..end) {
        Some([]) | None => "it said nothing".to_owned(),
        Some(lines) => lines.join("; ").trim_start_matches("error: ").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn the_reason_is_the_last_error() {
        assert_eq!(told("info\nerror: no way\nhint: another\n"), "no way; hint: another");
        assert_eq!(told("one\ntwo\nthree"), "two; three");
        assert_eq!(told(""), "it said nothing");
    }
}
