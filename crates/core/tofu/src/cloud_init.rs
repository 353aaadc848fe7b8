//! What a machine does on its first boot, as cloud-init's configuration.
//!
//! The configuration is a local value of the root, and `jsonencode` writes it: JSON is YAML, so nothing that comes
//! in through a variable can break out of its string. What a role's machines share stands once; what one machine
//! has of its own is merged in.

use univrs_model::node::Role;
use univrs_topology::plan::{Container, Group, Machine};
use univrs_topology::spec::{Host, Protocol};

use crate::seeds;
use crate::site::Site;
use crate::tf::{Expr, Object, Root, Section, Value, Variable, key};
use crate::wireguard;

const INSTALL: &str = r#"#!/bin/sh
# Fetches the program, refuses it when its digest is another, and starts it.
set -eu
curl --fail --silent --show-error --location --retry 10 --retry-connrefused --output /run/univrs "$1"
echo "$2  /run/univrs" | sha256sum --check --status
install -m 0755 /run/univrs /usr/local/bin/univrs
rm /run/univrs
if [ ! -s /etc/univrs/machine.env ]; then
    printf 'UNIVRS_ZONE=%s\n' "$(cloud-init query availability_zone)" > /etc/univrs/machine.env
fi
systemctl daemon-reload
systemctl enable --now univrs.service
"#;

const UNIT: &str = "[Unit]
Description=Univrs node
Documentation=https://github.com/univrs/univrs
Wants=network-online.target
After=network-online.target

[Service]
EnvironmentFile=/etc/univrs/node.env
EnvironmentFile=-/etc/univrs/machine.env
ExecStart=/usr/local/bin/univrs up --data-dir /var/lib/univrs
Restart=always
RestartSec=1
KillMode=process
Delegate=yes
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
";

/// User data of a machine of its own.
pub(crate) fn of_machine(site: Site<'_>, root: &mut Root, group: &Group, machine: &Machine) -> Value {
    let shared = shared(site, root, group, machine.bootstrap);
    let own = format!("machine_{}", key(&machine.name));
    let mut files = Vec::new();
    if group.join.is_some() {
        files.push(file("/etc/univrs/machine.env", "0644", format!("UNIVRS_ZONE={}\n", machine.zone)));
    }
    if group.container.is_some() {
        // One line for each variable is all that the format has.
        let one_line = |value: &str| value.replace(['\n', '\r'], " ");
        let lines: String =
            machine.env.iter().map(|(name, value)| format!("{name}={}\n", one_line(value))).collect();
        files.push(file("/etc/univrs/container.env", "0600", lines));
    }
    let own = root.local(
        Section::Machines,
        &own,
        Object::new().set("hostname", machine.name.as_str()).set("write_files", Value::List(files)),
    );
    let (shared, own) = (shared.text(), own.text());
    let gateway = wireguard::first_boot(site, root, machine)
        .map(|gateway| format!(", packages = concat({shared}.packages, {0}.packages), runcmd = concat({0}.runcmd, {shared}.runcmd)", gateway.text()))
        .unwrap_or_default();
    config(&format!(
        "merge({shared}, {{ hostname = {own}.hostname, write_files = concat({shared}.write_files, {own}.write_files){gateway} }})"
    ))
}

/// User data of all machines of an autoscaled group.
pub(crate) fn of_group(site: Site<'_>, root: &mut Root, group: &Group) -> Value {
    let shared = shared(site, root, group, false);
    config(shared.text())
}

/// `#cloud-config` with the value of an expression.
fn config(expression: &str) -> Value {
    Value::join(["#cloud-config\n".into(), Expr::new(format!("jsonencode({expression})")).into()])
}

/// What the machines of a role share, as a local value.
fn shared(site: Site<'_>, root: &mut Root, group: &Group, bootstrap: bool) -> Expr {
    let mut files = Vec::new();
    let mut commands = Vec::new();
    let mut packages = Vec::new();
    if group.join.is_some() {
        packages.push("curl");
        files.extend(univrs_files(site, root, group, bootstrap));
        commands.push(install(root));
    }
    if let Some(container) = group.container.as_ref().filter(|_| group.host == Host::Machine) {
        packages.push("docker.io");
        files.push(file("/etc/systemd/system/container.service", "0644", container_unit(container)));
        commands.push(Value::list(["systemctl", "enable", "--now", "container.service"]));
    }
    let body = Object::new()
        .set("package_update", !packages.is_empty())
        .set("packages", Value::list(packages))
        .set("write_files", Value::List(files))
        .set("runcmd", Value::List(commands));
    let first = if bootstrap { "_first" } else { "" };
    root.local(Section::Machines, &format!("cloud_init_{}{first}", key(group.role.as_str())), body)
}

fn install(root: &mut Root) -> Value {
    let url = root.variable(
        "univrs_url",
        Variable {
            description: "Where machines fetch the univrs program, built for their architecture.",
            ..Variable::default()
        },
    );
    let digest = root.variable(
        "univrs_sha256",
        Variable { description: "SHA-256 of that program, in hexadecimal.", ..Variable::default() },
    );
    Value::List(vec!["/usr/local/sbin/install-univrs".into(), url.into(), digest.into()])
}

fn univrs_files(site: Site<'_>, root: &mut Root, group: &Group, bootstrap: bool) -> Vec<Value> {
    let roles: Vec<&str> =
        group.join.iter().flat_map(|join| &join.roles).map(|role| role_word(*role)).collect();
    let mut pieces = vec![
        format!(
            "UNIVRS_ROLE={}\nUNIVRS_CLOUD={}\nUNIVRS_REGION={}\n",
            roles.join(","),
            site.region.cloud,
            site.region.name
        )
        .into(),
    ];
    if !group.labels.is_empty() {
        let labels: Vec<String> =
            group.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pieces.push(format!("UNIVRS_LABEL={}\n", labels.join(",")).into());
    }
    let mut files = vec![
        file("/usr/local/sbin/install-univrs", "0755", INSTALL),
        file("/etc/systemd/system/univrs.service", "0644", UNIT),
    ];
    if bootstrap {
        pieces.push("UNIVRS_BOOTSTRAP=true\n".into());
    } else {
        pieces.push("UNIVRS_JOIN=".into());
        pieces.push(seeds::join_hosts(site, root).into());
        pieces.push("\nUNIVRS_JOIN_TOKEN_FILE=/etc/univrs/join-token\nUNIVRS_CA_SHA256=".into());
        pieces.push(ca(root).into());
        pieces.push("\n".into());
        files.push(file("/etc/univrs/join-token", "0600", token(root)));
    }
    files.push(file("/etc/univrs/node.env", "0600", Value::join(pieces)));
    files
}

const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Validator => "validator",
        Role::Business => "business",
        Role::Slim => "slim",
    }
}

fn token(root: &mut Root) -> Expr {
    root.variable(
        "join_token",
        Variable {
            description: "Token that lets machines join, from `univrs join-token create` on the first machine.",
            sensitive: true,
            ..Variable::default()
        },
    )
}

fn ca(root: &mut Root) -> Expr {
    root.variable(
        "ca_sha256",
        Variable {
            description: "SHA-256 of the cluster's certificate authority, shown beside the token.",
            ..Variable::default()
        },
    )
}

fn container_unit(container: &Container) -> String {
    let ports: String = container
        .ports
        .iter()
        .map(|(port, protocol)| format!(" --publish {port}:{port}/{}", protocol_word(*protocol)))
        .collect();
    let command: String = container.command.iter().map(|word| format!(" {}", quoted(word))).collect();
    let restart = match container.restart.as_str() {
        "never" => "no",
        "on-failure" => "on-failure",
        _ => "always",
    };
    format!(
        "[Unit]
Wants=network-online.target docker.service
After=network-online.target docker.service

[Service]
ExecStartPre=-/usr/bin/docker rm --force app
ExecStart=/usr/bin/docker run --rm --name app --env-file /etc/univrs/container.env --cpus {} --memory {}{ports} {}{command}
ExecStop=/usr/bin/docker stop app
Restart={restart}
RestartSec=1

[Install]
WantedBy=multi-user.target
",
        crate::quantity::cores(container.cpu),
        container.memory.get(),
        quoted(&container.image),
    )
}

/// `tcp` or `udp`.
pub(crate) const fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// A word as systemd reads it: `%` and `$` are its own signs.
fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c));
    if plain && !word.is_empty() {
        return word.to_owned();
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

/// One entry of `write_files`.
pub(crate) fn file(path: &str, mode: &str, content: impl Into<Value>) -> Value {
    Object::new().set("path", path).set("permissions", mode).set("content", content).into()
}
