//! `univrs dashboard`: the dashboard by itself, in front of a server that may be elsewhere.

use std::net::SocketAddr;

use clap::Args;
use tokio::net::TcpListener;
use univrs_dashboard::alone::{self, Server};
use univrs_dashboard::site;

use crate::context::{Context, ServerAddress};
use crate::exit::Exit;
use crate::fault::Fault;

/// Serve the dashboard alone, in front of a server.
#[derive(Args, Debug)]
pub(crate) struct DashboardArgs {
    /// Where to serve it; a token of this command is lent on loopback only
    #[arg(long, env = "UNIVRS_DASHBOARD_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

impl DashboardArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        if !site::is_present() {
            return Err(Fault::failed(
                "this program was built without the dashboard",
                Some("build it with `make build`"),
            ));
        }
        let failed = |source| Fault::local(format!("listen on {}", self.listen), source);
        let listener = TcpListener::bind(self.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ServerAddress { url, token, authorities } = context.server.clone();
        context.talk(&format!("the dashboard of {url} is at http://{address}; Ctrl-C ends it"))?;
        let server = Server { address: url, token, authorities };
        tokio::select! {
            ended = alone::serve(listener, server) => match ended {
                Ok(()) => Ok(Exit::Ok),
                Err(error) => Err(Fault::failed(error.to_string(), None)),
            },
            _ = tokio::signal::ctrl_c() => Ok(Exit::Ok),
        }
    }
}
