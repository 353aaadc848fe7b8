//! The other machine, over the system's OpenSSH client: its configuration, agent and known hosts are the user's own.
//!
//! Nothing secret is ever part of a command line there: what is secret goes through standard input.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::exit::Exit;
use crate::fault::Fault;

/// What the client answers with when the connection failed, and not the command.
const CONNECTION_FAILED: i32 = 255;

/// How the machine is reached.
#[derive(Clone, Debug)]
pub(super) struct Ssh {
    /// `USER@HOST`, or a name of the configuration.
    pub(super) target: String,
    pub(super) port: Option<u16>,
    pub(super) identity: Option<PathBuf>,
    pub(super) config: Option<PathBuf>,
    /// Whether the key of a machine never seen before is taken as it is. A key that changed never is.
    pub(super) accept_new: bool,
    /// Whether commands are run through `sudo`.
    pub(super) sudo: bool,
}

/// What a command left.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) success: bool,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    /// The last thing it complained about.
    pub(super) fn complaint(&self) -> String {
        let last = self.err.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.unwrap_or("it said nothing").to_owned()
    }
}

impl Ssh {
    fn client(&self) -> Command {
        let mut command = Command::new("ssh");
        // Nobody is there to answer questions, and a dead connection ends within a minute.
        for option in
            ["BatchMode=yes", "ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
        {
            command.args(["-o", option]);
        }
        if self.accept_new {
            command.args(["-o", "StrictHostKeyChecking=accept-new"]);
        }
        if let Some(config) = &self.config {
            command.arg("-F").arg(config);
        }
        if let Some(identity) = &self.identity {
            command.arg("-i").arg(identity);
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        // Ctrl-C is for this program alone: what was begun there is taken back over the same way.
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Runs a script of a POSIX shell there; `input` is its standard input.
    ///
    /// # Errors
    /// When the machine cannot be reached or does not let us in. A script that fails is no error.
    pub(super) async fn run(&self, script: &str, input: &[u8]) -> Result<Ran, Fault> {
        let quoted = quoted(script);
        let line = if self.sudo { format!("sudo -n sh -c {quoted}") } else { format!("sh -c {quoted}") };
        let mut command = self.client();
        command.args(["-T", "--", &self.target, &line]);
        let (code, ran) = finished(command, input).await?;
        if code == Some(CONNECTION_FAILED) {
            return Err(self.unreachable(&ran));
        }
        Ok(ran)
    }

    /// Whether that machine reaches `address`; nothing when it does not say.
    ///
    /// It is asked to open a connection and to close it again. Not every machine does that for others.
    pub(super) async fn reaches(&self, address: &str) -> Result<Option<bool>, Fault> {
        let mut command = self.client();
        command.args(["-W", address, "--", &self.target]);
        let (code, ran) = finished(command, b"").await?;
        Ok(match code {
            Some(0) => Some(true),
            _ if ran.err.contains("prohibited") => None,
            _ if ran.err.contains("connect failed") || ran.err.contains("open failed") => Some(false),
            _ => None,
        })
    }

    fn unreachable(&self, ran: &Ran) -> Fault {
        let target = &self.target;
        let denied = |detail: String, hint: &str| Fault::Ended {
            exit: Exit::Denied,
            detail,
            hint: Some(hint.to_owned()),
        };
        if ran.err.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            return denied(
                format!("the host key of {target} is another one than before"),
                "if the machine was made anew, forget the old key with `ssh-keygen -R HOST`; otherwise somebody \
                 may be in between",
            );
        }
        if ran.err.contains("Host key verification failed") {
            return denied(
                format!("the host key of {target} is not known here"),
                "connect once with `ssh` and compare the key, or take it as it is with --accept-new-host-key",
            );
        }
        if ran.err.contains("Permission denied") {
            return denied(
                format!("{target} does not let us in: {}", ran.complaint()),
                "nobody is asked for a password: give a key with --identity, an agent or ~/.ssh/config",
            );
        }
        let detail = format!("cannot reach {target}: {}", ran.complaint());
        Fault::failed(detail, Some("`ssh` with the same target has to work without a question"))
    }
}

async fn finished(mut command: Command, input: &[u8]) -> Result<(Option<i32>, Ran), Fault> {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Fault::failed(
            "there is no `ssh` on this machine",
            Some("install the client of OpenSSH (Debian: `apt-get install openssh-client`)"),
        ),
        _ => Fault::local("run `ssh`", source),
    })?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // Whoever stops reading says why on the other streams.
            let _ = stdin.write_all(input).await;
            let _ = stdin.shutdown().await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(|source| Fault::local("run `ssh`", source))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran = Ran { success: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) };
    Ok((output.status.code(), ran))
}

/// A word as every POSIX shell reads it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{Ran, Ssh, quoted};
    use crate::exit::Exit;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, text) in
            [("/a-b_c", "/a-b_c"), ("", "''"), ("a b", "'a b'"), ("it's $HOME", r"'it'\''s $HOME'")]
        {
            assert_eq!(quoted(word), text);
        }
    }

    #[test]
    fn why_a_machine_lets_nobody_in_is_told_apart() {
        let ssh = Ssh {
            target: "me@box".to_owned(),
            port: None,
            identity: None,
            config: None,
            accept_new: false,
            sudo: false,
        };
        for (said, exit, words) in [
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                Exit::Denied,
                "another one than before",
            ),
            (
                "No ED25519 host key is known for box\r\nHost key verification failed.\r\n",
                Exit::Denied,
                "not known here",
            ),
            ("me@box: Permission denied (publickey).\r\n", Exit::Denied, "does not let us in"),
            ("ssh: connect to host box port 22: Connection refused\r\n", Exit::Failed, "Connection refused"),
        ] {
            let fault = ssh.unreachable(&Ran { success: false, out: String::new(), err: said.to_owned() });
            assert_eq!(fault.exit(), exit, "{said}");
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }
}
