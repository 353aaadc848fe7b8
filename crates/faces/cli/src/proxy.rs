//! `univrs proxy`: a port of this machine that leads to a workload.

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Reach a workload's port from this machine.
#[derive(Args, Debug)]
pub(crate) struct ProxyArgs {
    /// The workload
    workload: String,
    /// Port of this machine (0 takes a free one) and port of the workload
    #[arg(value_name = "LOCAL:PORT", value_parser = ports)]
    ports: (u16, u16),
    /// Address of this machine to listen on
    #[arg(long, default_value = "127.0.0.1")]
    bind: std::net::IpAddr,
}

impl ProxyArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        context.client.workload(&self.workload).await?;
        let (local, remote) = self.ports;
        let failed = |source| Fault::local(format!("listen on {}:{local}", self.bind), source);
        let listener = TcpListener::bind((self.bind, local)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        context.talk(&format!("{address} leads to port {remote} of {}; Ctrl-C ends it", self.workload))?;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (connection, _) = accepted.map_err(failed)?;
                    let (client, workload) = (context.client.clone(), self.workload.clone());
                    connections.spawn(async move { client.forward(&workload, remote, connection).await });
                }
                Some(ended) = connections.join_next() => {
                    if let Ok(Err(error)) = ended {
                        context.talk(&format!("a connection broke: {error}"))?;
                    }
                }
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Ok),
            }
        }
    }
}

/// `LOCAL:PORT`, or one port for both.
fn ports(text: &str) -> Result<(u16, u16), String> {
    let fail = || format!("`{text}` is not LOCAL:PORT, such as `8000:80`");
    let port = |text: &str| text.parse::<u16>().map_err(|_| fail());
    let (local, remote) = match text.split_once(':') {
        Some((local, remote)) => (port(local)?, port(remote)?),
        None => (port(text)?, port(text)?),
    };
    if remote == 0 { Err(fail()) } else { Ok((local, remote)) }
}

#[cfg(test)]
mod tests {
    use super::ports;

    #[test]
    fn ports_are_two_or_one() {
        assert_eq!(ports("8000:80"), Ok((8000, 80)));
        assert_eq!(ports("80"), Ok((80, 80)));
        assert_eq!(ports("0:80"), Ok((0, 80)));
        for bad in ["80:0", "a:80", "70000:80", "", "1:2:3"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }
}
