//! What is done on the other machine, step by step, and taken back.

use std::path::Path;

use super::machine::Places;
use super::ssh::{Ran, Ssh, quoted};
use crate::fault::Fault;

/// The other machine while it becomes a node.
pub(super) struct Far {
    pub(super) ssh: Ssh,
    pub(super) places: Places,
    pub(super) systemd: bool,
}

/// What became of the program there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Placed {
    /// The same was there.
    #[default]
    Unchanged,
    /// There was none.
    New,
    /// Another was there, and is kept until the end.
    Replaced,
}

/// What has to be taken back when a later step fails.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Id of the join token.
    pub(super) token: Option<String>,
    pub(super) program: Placed,
    /// Whether anything may lie in the data directory because of us.
    pub(super) touched: bool,
    pub(super) started: bool,
}

/// What became of taking it back.
pub(super) struct Undone {
    /// What is left, in words.
    pub(super) left: Vec<String>,
    /// The id under which the cluster may know the machine.
    pub(super) node: Option<String>,
}

/// How the daemon is doing.
pub(super) struct Daemon {
    pub(super) runs: bool,
    /// The end of what it said.
    pub(super) said: String,
}

impl Far {
    /// The places as variables of a script.
    fn places(&self) -> String {
        let Places { program, unit, data } = &self.places;
        format!(
            "program={} unit={} data={} service={}\n",
            quoted(program),
            quoted(unit),
            quoted(data),
            quoted(self.service())
        )
    }

    pub(super) fn service(&self) -> &str {
        Path::new(&self.places.unit).file_name().and_then(|name| name.to_str()).unwrap_or("univrs.service")
    }

    /// Where the join token lies there, until the node is ready.
    pub(super) fn token_file(&self) -> String {
        format!("{}/join-token", self.places.data)
    }

    async fn script(&self, doing: &str, script: &str, input: &[u8]) -> Result<Ran, Fault> {
        let ran = self.ssh.run(&format!("set -e\n{}{script}", self.places()), input).await?;
        if ran.success {
            return Ok(ran);
        }
        Err(Fault::failed(format!("{} could not {doing}: {}", self.ssh.target, ran.complaint()), None))
    }

    /// Puts the program beside its place, and starts it once to see whether it can be.
    pub(super) async fn upload(&self, program: &[u8], digest: &str) -> Result<(), Fault> {
        let script = r#"
umask 022
mkdir -p "$(dirname "$program")"
rm -f "$program.before-add"
cat > "$program.adding"
chmod 755 "$program.adding"
sha256sum "$program.adding" | cut -d ' ' -f 1
"#;
        let ran = self.script("take the program", script, program).await?;
        if ran.out.trim() != digest {
            let detail = format!("the program arrived at {} as another one than was sent", self.ssh.target);
            return Err(Fault::failed(detail, Some("try again; if it happens again, look at its disk")));
        }
        self.script("start the program", r#""$program.adding" --version"#, b"").await.map(drop)
    }

    /// Puts the program in its place; the one before stays beside it.
    pub(super) async fn place(&self, replaces: bool) -> Result<Placed, Fault> {
        let script = r#"
if [ -e "$program" ]; then ln -f "$program" "$program.before-add"; fi
mv -f "$program.adding" "$program"
"#;
        self.script("put the program in its place", script, b"").await?;
        Ok(if replaces { Placed::Replaced } else { Placed::New })
    }

    /// Writes the join token into a file that only root reads.
    pub(super) async fn give_token(&self, token: &str) -> Result<(), Fault> {
        let script = r#"
umask 022
mkdir -p "$data"
umask 077
rm -f "$data/join-token"
cat > "$data/join-token.new"
mv "$data/join-token.new" "$data/join-token"
"#;
        self.script("take the join token", script, format!("{token}\n").as_bytes()).await.map(drop)
    }

    /// Starts the node: as a service, or as a plain process, of which the number is answered.
    pub(super) async fn start(&self, flags: &[String]) -> Result<Option<u32>, Fault> {
        let flags: Vec<String> = flags.iter().map(|flag| quoted(flag)).collect();
        let flags = flags.join(" ");
        if self.systemd {
            let script = format!(r#""$program" install --program "$program" --unit "$unit" -- {flags}"#);
            self.script("install the service", &script, b"").await?;
            return Ok(None);
        }
        let script = format!(
            r#"
nohup setsid "$program" up --on-exit keep {flags} </dev/null >>"$data/univrs.log" 2>&1 &
echo $!
"#
        );
        let ran = self.script("start the node", &script, b"").await?;
        Ok(ran.out.trim().parse().ok())
    }

    /// Whether the daemon runs, and what it said last.
    pub(super) async fn look(&self, process: Option<u32>) -> Result<Daemon, Fault> {
        let script = match process {
            // Once it was started again by systemd, it has failed once.
            None => r#"
systemctl show -p ActiveState -p NRestarts "$service" | tr '\n' ' '
echo
journalctl -u "$service" -n 12 -o cat --no-pager 2>/dev/null || true
"#
            .to_owned(),
            Some(process) => format!(
                r#"
if kill -0 {process} 2>/dev/null; then echo ActiveState=active NRestarts=0; else echo gone; fi
tail -n 12 "$data/univrs.log" 2>/dev/null || true
"#
            ),
        };
        let ran = self.script("say how the node is", &script, b"").await?;
        let (first, said) = ran.out.split_once('\n').unwrap_or((&ran.out, ""));
        let runs = first.contains("NRestarts=0")
            && (first.contains("ActiveState=active") || first.contains("ActiveState=activating"));
        Ok(Daemon { runs, said: said.trim_end().to_owned() })
    }

    /// Removes what was kept until the node was ready.
    pub(super) async fn tidy(&self) -> Result<(), Fault> {
        self.script("tidy up", r#"rm -f "$data/join-token" "$program.before-add""#, b"").await.map(drop)
    }

    /// Takes back what was done there.
    pub(super) async fn undo(&self, done: &Done, empty_before: bool) -> Result<Undone, Fault> {
        let mut script = self.places();
        script.push_str("left() { echo \"left=$*\"; }\n");
        script.push_str(
            "if [ -s \"$data/node.json\" ]; then echo \"node=$(tr -d '\\n' < \"$data/node.json\")\"; fi\n",
        );
        if done.started && self.systemd {
            script.push_str(
                r#"
if [ -e "$unit" ]; then
  systemctl disable --now "$service" >/dev/null 2>&1 || left "the service $service"
  rm -f "$unit" || left "$unit"
  systemctl daemon-reload || true
fi
"#,
            );
        }
        if done.started {
            script.push_str(
                r#"
if [ -s "$data/node.json" ]; then
  "$program" down --data-dir "$data" >/dev/null 2>&1 || left "what its node made: univrs down --data-dir $data"
fi
"#,
            );
        }
        if done.touched {
            script.push_str(
                "rm -f \"$data/join-token\" \"$data/join-token.new\" || left \"$data/join-token\"\n",
            );
        }
        if done.touched && empty_before {
            script.push_str(
                r#"
if grep -q " $data/" /proc/self/mounts; then left "mounts below $data"; else rm -rf "$data" || left "$data"; fi
"#,
            );
        }
        script.push_str("rm -f \"$program.adding\" || left \"$program.adding\"\n");
        script.push_str(match done.program {
            Placed::Unchanged => "",
            Placed::New => "rm -f \"$program\" || left \"$program\"\n",
            Placed::Replaced => {
                r#"
if [ -e "$program.before-add" ]; then mv -f "$program.before-add" "$program" || left "another $program"; fi
"#
            }
        });
        let ran = self.ssh.run(&script, b"").await?;
        let of = |word: &'static str| ran.out.lines().filter_map(move |line| line.strip_prefix(word));
        let node = of("node=").find_map(|text| {
            let identity: serde_json::Value = serde_json::from_str(text).ok()?;
            identity["node"].as_str().map(str::to_owned)
        });
        Ok(Undone { left: of("left=").map(str::to_owned).collect(), node })
    }
}
